//! The one table of platform codes: text, class and scope of each. The policy reads it, and the `codes` command prints it.

use crate::model::Class;
use Class::{
    Accepted, Auth, Frequency, InDoubt, Offline, Outage, Quota, Refused, Rejected, Transient,
};
use Scope::{Account, Device, Payload, Product};

/// What is known of one platform code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeInfo {
    pub(crate) code: i64,
    /// The platform's own description.
    pub(crate) text: &'static str,
    /// The class when it is the code of a whole request, for the devices that have no code of their own in the reply.
    pub(crate) whole: Class,
    /// The class when it is the code of a device's own element.
    pub(crate) element: Class,
    /// How far the code reaches; `None` for success and for failures of the service that pass.
    pub(crate) scope: Option<Scope>,
    /// Where the code is documented.
    pub(crate) source: &'static str,
    /// What a person should know besides what the class says.
    pub(crate) note: Option<&'static str>,
}

/// The most that may be concluded from a code. Only `Payload` and `Product` end other tasks, so a code gets one of these only where the
/// documentation leaves no doubt; what may be about a single device counts as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// The devices of the request.
    Device,
    /// Every device that is to get the payload.
    Payload,
    /// Every device of the product.
    Product,
    /// Everything that is sent with these credentials to this endpoint.
    Account,
}

impl Scope {
    /// The name that `codes` prints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Device => "device",
            Payload => "payload",
            Product => "product",
            Account => "account",
        }
    }
}

const SPECIFICATION: &str = "sendServiceData, response status";
const NOTES: &str = "elsewhere in the same API";
const HTTP: &str = "HTTP";

/// Sorted by code.
static CODES: [CodeInfo; 50] = [
    success(200, "OK"),
    success(201, "Created"),
    account(401, "Unauthorized", Auth),
    account(403, "Forbidden", Refused),
    account(404, "Not Found", Refused),
    CodeInfo {
        whole: Outage,
        source: HTTP,
        scope: None,
        note: Some("a whole request: the rate of the run drops, and the request is sent again"),
        ..rejected(429, "Too Many Requests", Device)
    },
    passing(50000, "Service exception"),
    rejected(50005, "Parameter check error", Device),
    elsewhere(rejected(50006, "productID or productKey empty", Device)),
    rejected(
        50007,
        "The deviceID, productKey or deviceKey is empty",
        Device,
    ),
    rejected(61001, "PROTOCOL_NOT_SUPPORT", Device),
    device(61002, "Device offline", Offline),
    rejected(61005, "Unauthorized device", Device),
    CodeInfo {
        note: Some("the number of transmitted messages of the device reaches its upper limit"),
        ..device(61006, "Device message upper limit", Quota)
    },
    CodeInfo {
        note: Some("the frequency of transmitted messages of the device reaches its upper limit"),
        ..device(61007, "Device message frequency is limited", Frequency)
    },
    CodeInfo {
        whole: Outage,
        ..passing(70000, "Hub service unavailable")
    },
    elsewhere(rejected(70017, "Product does not exist", Device)),
    device(
        70026,
        "The sub-device is not connected to the gateway device",
        Offline,
    ),
    passing(70051, "Failed data sending"),
    elsewhere(rejected(
        70063,
        "Device in transparent-transmission mode cannot take TSL data",
        Device,
    )),
    elsewhere(device(70065, "Device offline", Offline)),
    rejected(
        70083,
        "Product category and parameter type are unmatched",
        Payload,
    ),
    rejected(
        70089,
        "You have limited permission to operate this project or product or device",
        Device,
    ),
    rejected(70090, "The number is out of range or step size", Payload),
    rejected(
        70091,
        "The value is not a member of the enumeration",
        Payload,
    ),
    rejected(70092, "The text is too long", Payload),
    rejected(70093, "Incorrect time stamp character", Payload),
    rejected(
        70094,
        "The TSL model is unable to analyze and identify data",
        Payload,
    ),
    passing(70095, "Failed to call cloudBridgeService"),
    passing(70096, "Failed to issue command from DMP to AEP"),
    elsewhere(rejected(70097, "TSL model empty", Device)),
    elsewhere(rejected(70130, "Device does not exist", Device)),
    elsewhere(rejected(
        71006,
        "TSL of the current version not found",
        Device,
    )),
    rejected(71008, "TSL data format verification error", Payload),
    rejected(71027, "TSL model downlink data format is not JSON", Payload),
    rejected(
        71028,
        "TSL model downlink data format verification error",
        Payload,
    ),
    rejected(
        71029,
        "Illegal downlink data setting for TSL model",
        Payload,
    ),
    rejected(71035, "Parameter verification error", Device),
    rejected(71036, "TSL model data verification error", Payload),
    rejected(
        71038,
        "Failed communication. Read-only attributes can't send commands",
        Payload,
    ),
    rejected(
        71039,
        "The length of message array has exceeded the defined size",
        Payload,
    ),
    rejected(71047, "Downstream TSL data format check error", Payload),
    rejected(
        71048,
        "The fetch instruction cannot only contain write-only data",
        Payload,
    ),
    rejected(
        80005,
        "OpenAPI does not support setting AEP products",
        Product,
    ),
    CodeInfo {
        note: Some(
            "the answer to a login with an unknown AccessKey; it stops the push with exit code 5",
        ),
        ..elsewhere(rejected(90047, "AccessKey does not exist", Account))
    },
    account(91001, "Token does not exist", Auth),
    account(91004, "Token incorrect", Auth),
    account(91005, "Doesn't have permission", Refused),
    account(91006, "User not in IP white list", Refused),
    account(91007, "Please enable API permission", Refused),
];

const fn code(code: i64, text: &'static str, class: Class, scope: Option<Scope>) -> CodeInfo {
    CodeInfo {
        code,
        text,
        whole: class,
        element: class,
        scope,
        source: SPECIFICATION,
        note: None,
    }
}

/// Only a device's own element accepts a command: a request that went well and says nothing of a device leaves that device in doubt.
const fn success(number: i64, text: &'static str) -> CodeInfo {
    CodeInfo {
        whole: InDoubt,
        ..code(number, text, Accepted, None)
    }
}

/// A failure of the service, for whole requests and single devices alike, that passes.
const fn passing(number: i64, text: &'static str) -> CodeInfo {
    code(number, text, Transient, None)
}

/// Something about the device that is not final.
const fn device(number: i64, text: &'static str, class: Class) -> CodeInfo {
    code(number, text, class, Some(Device))
}

/// About the credentials or the endpoint when it stands for a whole request; in an element it can only be about that device.
const fn account(number: i64, text: &'static str, whole: Class) -> CodeInfo {
    CodeInfo {
        whole,
        ..code(number, text, Rejected, Some(Account))
    }
}

const fn rejected(number: i64, text: &'static str, scope: Scope) -> CodeInfo {
    code(number, text, Rejected, Some(scope))
}

/// Not in the specification's own table, but seen in the same API family.
const fn elsewhere(info: CodeInfo) -> CodeInfo {
    CodeInfo {
        source: NOTES,
        ..info
    }
}

/// Every known code, in ascending order.
pub(crate) fn all() -> &'static [CodeInfo] {
    &CODES
}

/// What is known of a code.
pub(crate) fn lookup(code: i64) -> Option<&'static CodeInfo> {
    CODES
        .binary_search_by_key(&code, |info| info.code)
        .ok()
        .map(|index| &CODES[index])
}

/// The class of a code that stands for a whole request; an unknown one is a rejection.
pub(crate) fn class_of_whole(code: i64) -> Class {
    lookup(code).map_or(Rejected, |info| info.whole)
}

/// The class of a code in a device's own element; an unknown one is a rejection.
pub(crate) fn class_of_element(code: i64) -> Class {
    lookup(code).map_or(Rejected, |info| info.element)
}

/// What fleetpush does about an outcome of this class, for a person; the numbers are the defaults.
pub(crate) fn reaction(class: Class) -> &'static str {
    match class {
        Accepted => "done: the platform accepted the command; the device may not have it yet",
        Frequency => {
            "pauses this device alone, 2 s doubling to 60 s; fails after --max-snooze of pauses"
        }
        Quota => {
            "pauses this device alone, 30 s doubling to 15 min; fails after --max-snooze of pauses"
        }
        Transient => "sends again after 2 s doubling to 5 min, up to --max-attempts, then fails",
        Outage => {
            "pauses the whole run and probes with one request until the platform answers; stops after --max-outage, exit code 3"
        }
        InDoubt => {
            "sends again (--in-doubt resend), or ends in doubt until a retry (--in-doubt hold)"
        }
        Offline => "fails; with --retry-offline N sends again after --offline-delay",
        Auth => {
            "logs in once more and sends again; stops with exit code 5 when new tokens are refused too"
        }
        Refused => "stops at once with exit code 5; the tasks stay pending",
        Rejected => {
            "fails; a whole request of several devices is first split in halves until the devices that cause it are alone"
        }
        Class::Blocked => "fails unsent, because an earlier task of the device did not succeed",
        Class::Invalid => "fails unsent, because the manifest row is wrong",
        Class::Unchanged => "is skipped, because the device accepted the same payload last",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The response status table of the specification: code, tab, description.
    const SPECIFIED: &str = include_str!("../../tests/fixtures/codes.tsv");

    /// Codes that the specification does not list.
    const ADDED: [i64; 9] = [429, 50006, 70017, 70063, 70065, 70097, 70130, 71006, 90047];

    /// Written from the design, not from the table: code, class as a whole request's, class as an element's, scope.
    const EXPECTED: [(i64, Class, Class, Option<Scope>); 50] = [
        (200, InDoubt, Accepted, None),
        (201, InDoubt, Accepted, None),
        (401, Auth, Rejected, Some(Account)),
        (403, Refused, Rejected, Some(Account)),
        (404, Refused, Rejected, Some(Account)),
        (429, Outage, Rejected, None),
        (50000, Transient, Transient, None),
        (50005, Rejected, Rejected, Some(Device)),
        (50006, Rejected, Rejected, Some(Device)),
        (50007, Rejected, Rejected, Some(Device)),
        (61001, Rejected, Rejected, Some(Device)),
        (61002, Offline, Offline, Some(Device)),
        (61005, Rejected, Rejected, Some(Device)),
        (61006, Quota, Quota, Some(Device)),
        (61007, Frequency, Frequency, Some(Device)),
        (70000, Outage, Transient, None),
        (70017, Rejected, Rejected, Some(Device)),
        (70026, Offline, Offline, Some(Device)),
        (70051, Transient, Transient, None),
        (70063, Rejected, Rejected, Some(Device)),
        (70065, Offline, Offline, Some(Device)),
        (70083, Rejected, Rejected, Some(Payload)),
        (70089, Rejected, Rejected, Some(Device)),
        (70090, Rejected, Rejected, Some(Payload)),
        (70091, Rejected, Rejected, Some(Payload)),
        (70092, Rejected, Rejected, Some(Payload)),
        (70093, Rejected, Rejected, Some(Payload)),
        (70094, Rejected, Rejected, Some(Payload)),
        (70095, Transient, Transient, None),
        (70096, Transient, Transient, None),
        (70097, Rejected, Rejected, Some(Device)),
        (70130, Rejected, Rejected, Some(Device)),
        (71006, Rejected, Rejected, Some(Device)),
        (71008, Rejected, Rejected, Some(Payload)),
        (71027, Rejected, Rejected, Some(Payload)),
        (71028, Rejected, Rejected, Some(Payload)),
        (71029, Rejected, Rejected, Some(Payload)),
        (71035, Rejected, Rejected, Some(Device)),
        (71036, Rejected, Rejected, Some(Payload)),
        (71038, Rejected, Rejected, Some(Payload)),
        (71039, Rejected, Rejected, Some(Payload)),
        (71047, Rejected, Rejected, Some(Payload)),
        (71048, Rejected, Rejected, Some(Payload)),
        (80005, Rejected, Rejected, Some(Product)),
        (90047, Rejected, Rejected, Some(Account)),
        (91001, Auth, Rejected, Some(Account)),
        (91004, Auth, Rejected, Some(Account)),
        (91005, Refused, Rejected, Some(Account)),
        (91006, Refused, Rejected, Some(Account)),
        (91007, Refused, Rejected, Some(Account)),
    ];

    #[test]
    fn every_specified_code_is_here_with_its_text() {
        let mut codes = BTreeSet::from(ADDED);
        for line in SPECIFIED.lines() {
            let (code, text) = line.split_once('\t').unwrap();
            let code = code.parse().unwrap();
            assert_eq!(lookup(code).map(|info| info.text), Some(text), "{code}");
            codes.insert(code);
        }
        assert_eq!(
            all().iter().map(|info| info.code).collect::<BTreeSet<_>>(),
            codes
        );
    }

    #[test]
    fn every_code_reaches_its_class() {
        for (code, whole, element, scope) in EXPECTED {
            let info = lookup(code).unwrap();
            assert_eq!(
                (class_of_whole(code), class_of_element(code), info.scope),
                (whole, element, scope),
                "{code}"
            );
        }
        assert_eq!(all().len(), EXPECTED.len());
    }

    #[test]
    fn every_code_says_where_it_is_from_and_some_what_is_special() {
        for info in all() {
            let source = match info.code {
                429 => HTTP,
                code if ADDED.contains(&code) => NOTES,
                _ => SPECIFICATION,
            };
            assert_eq!(info.source, source, "{}", info.code);
        }
        let noted = all().iter().filter(|info| info.note.is_some());
        let noted: Vec<i64> = noted.map(|info| info.code).collect();
        assert_eq!(noted, [429, 61006, 61007, 90047]);
        let scopes = [Device, Payload, Product, Account].map(Scope::name);
        assert_eq!(scopes, ["device", "payload", "product", "account"]);
    }

    #[test]
    fn the_table_is_sorted_for_the_search() {
        assert!(all().is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn an_unknown_code_is_a_rejection() {
        for code in [i64::MIN, -1, 0, 202, 500, 61003, 99999, i64::MAX] {
            assert_eq!(lookup(code), None);
            assert_eq!(
                (class_of_whole(code), class_of_element(code)),
                (Rejected, Rejected),
                "{code}"
            );
        }
    }
}

//! The texts of the codes that the simulator gives, copied from the specification's table. The vendor documents no Chinese ones, so
//! `language` changes nothing.

/// Success.
pub(super) const OK: i64 = 200;
/// The client's own fault: wrong JSON, wrong types, unknown fields.
pub(super) const PARAMETER_CHECK: i64 = 50005;
/// No product key or no devices.
pub(super) const KEY_EMPTY: i64 = 50007;
/// `data` is not JSON.
pub(super) const DATA_NOT_JSON: i64 = 71027;
/// `data` is JSON of another shape than the documented ones.
pub(super) const DATA_SHAPE: i64 = 71028;
pub(super) const SERVICE_EXCEPTION: i64 = 50000;
pub(super) const HUB_UNAVAILABLE: i64 = 70000;
pub(super) const OFFLINE: i64 = 61002;
pub(super) const UNAUTHORIZED: i64 = 61005;
pub(super) const QUOTA: i64 = 61006;
pub(super) const FREQUENCY: i64 = 61007;
pub(super) const PRODUCT_REFUSED: i64 = 80005;
pub(super) const TOKEN_UNKNOWN: i64 = 91001;
pub(super) const TOKEN_EXPIRED: i64 = 91004;
/// A parameter of another type than the model's.
pub(super) const UNMATCHED: i64 = 70083;
pub(super) const OUT_OF_RANGE: i64 = 70090;
pub(super) const NO_MEMBER: i64 = 70091;
pub(super) const TOO_LONG: i64 = 70092;
pub(super) const NO_TIME: i64 = 70093;
/// A service, parameter or member that the model does not have.
pub(super) const UNIDENTIFIED: i64 = 70094;
/// A value whose shape is not the model's.
pub(super) const DATA_ILLEGAL: i64 = 71029;
pub(super) const READ_ONLY: i64 = 71038;
pub(super) const ARRAY_LENGTH: i64 = 71039;
/// No product key in a question for a thing model (platform notes, "Codes seen elsewhere").
pub(super) const PRODUCT_EMPTY: i64 = 50006;
/// No such product (platform notes, "Codes seen elsewhere").
pub(super) const PRODUCT_UNKNOWN: i64 = 70017;
/// The AccessKey does not exist (platform notes, "Authentication").
pub(super) const ACCESS_KEY_UNKNOWN: i64 = 90047;
/// The password does not match. Not documented; the number is the simulator's.
pub(super) const SIGNATURE: i64 = 90048;
/// The timestamp is more than ten minutes off. Not documented; the number is the simulator's.
pub(super) const TIMESTAMP: i64 = 90049;

/// The text of a code, as the platform spells it.
pub(super) fn text(code: i64) -> &'static str {
    match code {
        OK => "",
        SERVICE_EXCEPTION => "Service exception",
        PARAMETER_CHECK => "Parameter check error",
        KEY_EMPTY => "The deviceID, productKey or deviceKey is empty",
        PRODUCT_EMPTY => "productID or productKey empty",
        PRODUCT_UNKNOWN => "product does not exist",
        61001 => "PROTOCOL_NOT_SUPPORT",
        OFFLINE => "Device offline",
        UNAUTHORIZED => "Unauthorized device",
        QUOTA => "Device message upper limit",
        FREQUENCY => "Device message frequency is limited",
        HUB_UNAVAILABLE => "Hub service unavailable",
        70026 => "The sub-device is not connected to the gateway device",
        70051 => "Failed data sending",
        UNMATCHED => "Product category and parameter type are unmatched",
        70089 => "You have limited permission to operate this project or product or device",
        OUT_OF_RANGE => "The number is out of range or step size",
        NO_MEMBER => "The value is not a member of the enumeration",
        TOO_LONG => "The text is too long",
        NO_TIME => "Incorrect time stamp character",
        UNIDENTIFIED => "The TSL model is unable to analyze and identify data",
        70095 => "Failed to call cloudBridgeService",
        70096 => "Failed to issue command from DMP to AEP",
        71008 => "TSL data format verification error",
        DATA_NOT_JSON => "TSL model downlink data format is not JSON",
        DATA_SHAPE => "TSL model downlink data format verification error",
        DATA_ILLEGAL => "Illegal downlink data setting for TSL model",
        71035 => "Parameter verification error",
        71036 => "TSL model data verification error",
        READ_ONLY => "Failed communication. Read-only attributes can't send commands",
        ARRAY_LENGTH => "The length of message array has exceeded the defined size",
        71047 => "Downstream TSL data format check error",
        71048 => "The fetch instruction cannot only contain write-only data",
        PRODUCT_REFUSED => "OpenAPI does not support setting AEP products",
        ACCESS_KEY_UNKNOWN => "AccessKey didn't exists",
        SIGNATURE => "Signature verification failed",
        TIMESTAMP => "Timestamp expired",
        TOKEN_UNKNOWN => "Token does not exist",
        TOKEN_EXPIRED => "Token incorrect",
        91005 => "Doesn't have permission",
        91006 => "User not in IP white list",
        91007 => "Please enable API permission",
        _ => "Unknown error",
    }
}

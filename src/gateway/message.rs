//! Reads the messages of a queue ("Data Format Definition"). Nothing is required that is not needed: the types of fields vary from page to
//! page, and what cannot be read is counted by what is wrong with it.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::lenient::{self, Field};
use crate::model::{CommandMessage, MessageKind, PresenceMessage, QueueMessage, Timestamp};

/// Bytes of a message that is looked into. A command has at most 64 KB, so that a longer one is none of ours.
const LARGEST: usize = 1 << 20;
/// Bytes of a ticket or a key that is kept; the platform's have a few dozen.
const LONGEST_ID: usize = 512;
/// Characters of a type that it is counted by.
const LONGEST_TYPE: usize = 40;

pub(crate) fn read_message(body: &[u8]) -> QueueMessage {
    if body.len() > LARGEST {
        return odd("(larger than 1 MiB)");
    }
    let Ok(text) = str::from_utf8(body) else {
        return odd("(not JSON)");
    };
    let mut message = Fields::default();
    let is_object = lenient::fields(
        text.trim_start_matches('\u{feff}'),
        |field, value| match field {
            Field::Type => message.kind = lenient::id(value),
            Field::Subtype => message.subtype = lenient::id(value),
            Field::ProductKey => message.product_key = id(value),
            Field::DeviceKey => message.device_key = id(value),
            Field::Ticket => message.ticket = id(value),
            Field::CreatedAt => message.created_at = lenient::integer(value),
            Field::Data => message.data = Some(value),
            _ => {}
        },
    );
    if !is_object {
        return odd("(not JSON)");
    }
    let Some(kind) = message.kind.take() else {
        return odd("(no type)");
    };
    let subtype = message.subtype.take().unwrap_or_default();
    match (&*kind, &*subtype) {
        ("REQACK", _) => message.acknowledgement(body),
        ("MSERV", "INPUT") => message.service(MessageKind::Input, body),
        ("MSERV", "OUTPUT") => message.service(MessageKind::Output, body),
        ("ONLINE", _) => message.presence(),
        _ => QueueMessage::Other {
            kind: shown(&kind),
            is_odd: false,
        },
    }
}

/// The fields of a message, as far as they are there.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<Cow<'a, str>>,
    subtype: Option<Cow<'a, str>>,
    product_key: Option<String>,
    device_key: Option<String>,
    ticket: Option<String>,
    created_at: Option<i64>,
    data: Option<&'a str>,
}

impl Fields<'_> {
    fn acknowledgement(mut self, body: &[u8]) -> QueueMessage {
        let (mut status, mut sent_at) = (None, None);
        self.each_of_data(|field, value| match field {
            Field::Status => status = lenient::id(value).map(Cow::into_owned),
            Field::SentAt => sent_at = lenient::integer(value),
            _ => {}
        });
        let kind = match status.as_deref() {
            Some(status) if status.eq_ignore_ascii_case("succ") => MessageKind::ReqackSucc,
            Some(status) if status.eq_ignore_ascii_case("fail") => MessageKind::ReqackFail,
            _ => return odd("REQACK (another status)"),
        };
        self.created_at = self.created_at.or(sent_at);
        self.command(kind, body, |_| {})
    }

    fn service(self, kind: MessageKind, body: &[u8]) -> QueueMessage {
        let (mut code, mut kv, mut packet_id) = (None, None, None);
        self.each_of_data(|field, value| match field {
            Field::Code => code = id(value),
            Field::Kv => kv = (value != "null").then(|| value.to_owned()),
            Field::PacketId => packet_id = lenient::integer(value),
            _ => {}
        });
        self.command(kind, body, |message| {
            message.code = code;
            message.kv = kv;
            message.packet_id = packet_id;
        })
    }

    fn command(
        self,
        kind: MessageKind,
        body: &[u8],
        complete: impl FnOnce(&mut CommandMessage),
    ) -> QueueMessage {
        let name = match kind {
            MessageKind::ReqackSucc | MessageKind::ReqackFail => "REQACK",
            MessageKind::Input | MessageKind::Output => "MSERV",
        };
        let at = self.at();
        let (Some(ticket), Some(device_key)) = (self.ticket, self.device_key) else {
            return odd(&format!("{name} (no ticket or device)"));
        };
        let mut message = CommandMessage {
            kind,
            ticket,
            product_key: self.product_key.unwrap_or_default(),
            device_key,
            code: None,
            kv: None,
            packet_id: None,
            at,
            digest: digest(body),
        };
        complete(&mut message);
        QueueMessage::Command(message)
    }

    fn presence(self) -> QueueMessage {
        let mut value_of = None;
        self.each_of_data(|field, value| {
            if field == Field::Value {
                value_of = lenient::integer(value);
            }
        });
        // 0 is offline, 1 online, 2 online again.
        let is_online = match value_of {
            Some(0) => false,
            Some(1 | 2) => true,
            _ => return odd("ONLINE (another value)"),
        };
        let at = self.at();
        let Some(device_key) = self.device_key else {
            return odd("ONLINE (no device)");
        };
        QueueMessage::Presence(PresenceMessage {
            product_key: self.product_key.unwrap_or_default(),
            device_key,
            is_online,
            at,
        })
    }

    fn at(&self) -> Option<Timestamp> {
        self.created_at.filter(|at| *at > 0).map(Timestamp)
    }

    /// Gives the fields of `data`, an object or the text of one.
    fn each_of_data(&self, mut each: impl FnMut(Field, &str)) {
        let Some(data) = self.data else { return };
        if data.starts_with('"') {
            let text: String = serde_json::from_str(data).unwrap_or_default();
            lenient::fields(&text, &mut each);
        } else {
            lenient::fields(data, each);
        }
    }
}

fn odd(kind: &str) -> QueueMessage {
    QueueMessage::Other {
        kind: kind.to_owned(),
        is_odd: true,
    }
}

/// A ticket or a key, unless it is beyond reason.
fn id(value: &str) -> Option<String> {
    lenient::id(value)
        .filter(|id| id.len() <= LONGEST_ID)
        .map(Cow::into_owned)
}

/// A type as it is counted and shown: short, and of characters that steer nothing.
fn shown(kind: &str) -> String {
    kind.chars()
        .take(LONGEST_TYPE)
        .map(|character| {
            if character.is_ascii_graphic() || character == ' ' {
                character
            } else {
                '?'
            }
        })
        .collect()
}

/// Half of a SHA-256's half: the same for a message that is delivered again, and for no other one of the same ticket.
fn digest(body: &[u8]) -> i64 {
    let hash = Sha256::digest(body);
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(message: &Value) -> QueueMessage {
        read_message(message.to_string().as_bytes())
    }

    fn command(message: &Value) -> CommandMessage {
        match read(message) {
            QueueMessage::Command(command) => command,
            other => panic!("{message}: {other:?}"),
        }
    }

    fn counted(body: &[u8]) -> (String, bool) {
        match read_message(body) {
            QueueMessage::Other { kind, is_odd } => (kind, is_odd),
            other => panic!("{other:?}"),
        }
    }

    /// The examples of the vendor's page.
    #[test]
    fn the_documented_messages_are_read() {
        let reqack = r#"{"type":"REQACK","productKey":"pX1","deviceKey":"D7","createdAt":1750000000120,"ticket":"1380000000000000001","data":{"sentAt":1750000000100,"status":"succ"}}"#;
        let QueueMessage::Command(read) = read_message(reqack.as_bytes()) else {
            panic!("a command");
        };
        assert_eq!(
            (
                read.kind,
                &*read.ticket,
                &*read.product_key,
                &*read.device_key,
                read.at
            ),
            (
                MessageKind::ReqackSucc,
                "1380000000000000001",
                "pX1",
                "D7",
                Some(Timestamp(1_750_000_000_120))
            )
        );
        assert_eq!((read.code, read.kv, read.packet_id), (None, None, None));
        let input = r#"{"type":"MSERV","subtype":"INPUT","productKey":"pX1","deviceKey":"D7","createdAt":1750000000110,"ticket":"1380000000000000001","data":{"packetId":41,"code":"reboot","kv":{"delay":"5","force":true}}}"#;
        let QueueMessage::Command(read) = read_message(input.as_bytes()) else {
            panic!("a command");
        };
        assert_eq!(read.kind, MessageKind::Input);
        assert_eq!(read.code.as_deref(), Some("reboot"));
        assert_eq!(read.kv.as_deref(), Some(r#"{"delay":"5","force":true}"#));
        assert_eq!(read.packet_id, Some(41));
        let online = r#"{"type":"ONLINE","productKey":"pX1","deviceKey":"D7","createdAt":1750000000000,"ticket":"65a1b2c3d4e5f60718293a4b","data":{"value":1}}"#;
        assert_eq!(
            read_message(online.as_bytes()),
            QueueMessage::Presence(PresenceMessage {
                product_key: "pX1".to_owned(),
                device_key: "D7".to_owned(),
                is_online: true,
                at: Some(Timestamp(1_750_000_000_000)),
            })
        );
    }

    #[test]
    fn tickets_and_times_are_taken_in_whichever_type_they_come() {
        for ticket in [
            json!("65a1b2c3d4e5f60718293a4b"),
            json!("1380000000000000001"),
            json!("0f8fad5b-d9cb-469f-a165-70867728950e"),
        ] {
            let message = json!({"type": "REQACK", "deviceKey": 7, "ticket": ticket, "data": {"status": "fail"}});
            let read = command(&message);
            assert_eq!(json!(read.ticket), ticket);
            assert_eq!(
                (&*read.device_key, read.kind, read.at),
                ("7", MessageKind::ReqackFail, None)
            );
        }
        let number = r#"{"type":"REQACK","deviceKey":"D","ticket":1380000000000000001,"data":{"status":"succ","sentAt":"1750000000100"}}"#;
        let QueueMessage::Command(read) = read_message(number.as_bytes()) else {
            panic!("a command");
        };
        assert_eq!(read.ticket, "1380000000000000001");
        assert_eq!(read.at, Some(Timestamp(1_750_000_000_100)));
        let text = json!({"type": "MSERV", "subtype": "OUTPUT", "deviceKey": "D", "ticket": "T", "createdAt": "5", "data": "{\"code\":\"c\",\"kv\":{\"a\":1}}"});
        let read = command(&text);
        assert_eq!(
            (read.code.as_deref(), read.kv.as_deref(), read.at),
            (Some("c"), Some("{\"a\":1}"), Some(Timestamp(5)))
        );
    }

    #[test]
    fn a_repeat_has_the_same_digest_and_another_message_has_not() {
        let message = |packet: i64| {
            command(
                &json!({"type": "MSERV", "subtype": "INPUT", "deviceKey": "D", "ticket": "T", "data": {"packetId": packet}}),
            )
        };
        assert_eq!(message(1).digest, message(1).digest);
        assert_ne!(message(1).digest, message(2).digest);
    }

    #[test]
    fn what_cannot_be_used_is_counted_by_what_is_wrong() {
        let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let deep = |open: &str| format!("{{\"type\":{open}}}");
        let large = vec![b' '; 10 << 20];
        for (body, kind) in [
            (&b""[..], "(not JSON)"),
            (b"\xff\xfe", "(not JSON)"),
            (b"<html>", "(not JSON)"),
            (b"null", "(not JSON)"),
            (b"{\"type\":\"REQACK\"", "(not JSON)"),
            (b"{}", "(no type)"),
            (nested.as_bytes(), "(not JSON)"),
            (deep(&nested).as_bytes(), "(no type)"),
            (&large, "(larger than 1 MiB)"),
            (
                b"{\"type\":\"REQACK\",\"deviceKey\":\"D\",\"data\":{\"status\":\"succ\"}}",
                "REQACK (no ticket or device)",
            ),
            (
                b"{\"type\":\"REQACK\",\"deviceKey\":\"D\",\"ticket\":\"T\",\"data\":null}",
                "REQACK (another status)",
            ),
            (
                b"{\"type\":\"MSERV\",\"subtype\":\"INPUT\",\"ticket\":\"T\",\"data\":{}}",
                "MSERV (no ticket or device)",
            ),
            (
                b"{\"type\":\"ONLINE\",\"deviceKey\":\"D\",\"data\":{\"value\":9}}",
                "ONLINE (another value)",
            ),
        ] {
            assert_eq!(counted(body), (kind.to_owned(), true));
        }
        for kind in ["MATTR", "META_EVENT", "STATUS"] {
            let body = json!({"type": kind, "data": null}).to_string();
            assert_eq!(counted(body.as_bytes()), (kind.to_owned(), false));
        }
        let long = json!({"type": "\u{202e}X".repeat(99)}).to_string();
        assert_eq!(counted(long.as_bytes()).0, "?X".repeat(20));
        // Deep inside of what is kept as it is.
        let kv = format!(
            r#"{{"type":"MSERV","subtype":"INPUT","deviceKey":"D","ticket":"T","data":{{"kv":{nested}}}}}"#
        );
        assert!(matches!(
            read_message(kv.as_bytes()),
            QueueMessage::Command(_)
        ));
    }
}

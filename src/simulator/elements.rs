//! The reply to a `sendServiceData`: the specification's "Response Example", and its quirks on demand.

use serde_json::json;

use super::{
    chance::{Chance, Question},
    codes,
    reply::Reply,
    scenario::{Quirk, Scenario, TicketForm},
};

/// What the platform says of one device: a ticket, or the code of a refusal.
pub(super) type ElementResult = Result<u64, i64>;

#[derive(Clone, Copy)]
struct Element<'a> {
    code: Code,
    device_key: &'a str,
    key: Key,
    ticket: Ticket,
    message: Option<&'static str>,
}

/// How a device key comes back.
#[derive(Clone, Copy)]
enum Key {
    Same,
    Lower,
    Padded,
    Foreign,
}

#[derive(Clone, Copy)]
struct Code {
    code: i64,
    form: Form,
}

/// How a code is written.
#[derive(Clone, Copy)]
enum Form {
    Number,
    Text,
    True,
}

#[derive(Clone, Copy)]
enum Ticket {
    None,
    Text(u64, TicketForm),
    Number(u64),
}

/// JSON as it grows. A load test is made of elements, and written like this they take a fraction of what a serializer needs.
struct Text(Vec<u8>);

impl Text {
    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn string(&mut self, text: &str) -> &mut Self {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.raw("\"").raw(text).raw("\"")
        } else {
            self.raw(&json!(text).to_string())
        }
    }

    fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    fn code(&mut self, Code { code, form }: Code) -> &mut Self {
        match form {
            Form::Number => self.number(code),
            Form::Text => self.raw("\"").number(code).raw("\""),
            Form::True => self.raw("true"),
        }
    }

    fn key(&mut self, device_key: &str, key: Key) -> &mut Self {
        match key {
            Key::Same => self.string(device_key),
            Key::Lower => self.string(&device_key.to_lowercase()),
            Key::Padded => self.string(&format!(" {device_key}\t")),
            Key::Foreign => self.string(&format!("0000{device_key}")),
        }
    }

    fn ticket(&mut self, ticket: Ticket) -> &mut Self {
        match ticket {
            Ticket::None => self.raw("null"),
            Ticket::Text(ticket, TicketForm::Digits) => self.raw("\"").number(ticket).raw("\""),
            Ticket::Text(ticket, form) => self.string(&form.text(ticket)),
            Ticket::Number(ticket) => self.number(ticket),
        }
    }

    fn element(&mut self, product: &str, element: &Element<'_>) -> &mut Self {
        self.raw(r#"{"code":"#).code(element.code).raw(product);
        self.key(element.device_key, element.key);
        self.raw(r#","ticket":"#).ticket(element.ticket);
        self.raw(r#","message":"#);
        match element.message {
            Some(message) => self.string(message),
            None => self.raw("null"),
        };
        self.raw("}")
    }
}

/// What is odd about one reply.
pub(super) struct Odd {
    chance: Chance,
    request: u64,
    kinds: Vec<Quirk>,
    tickets: TicketForm,
}

impl Odd {
    /// What chance has in store for the reply to this request.
    pub(super) fn of(scenario: &Scenario, chance: Chance, request: u64) -> Self {
        let kinds = scenario
            .quirks
            .iter()
            .filter(|&(&quirk, &share)| chance.within(share, question(quirk), request))
            .map(|(&quirk, _)| quirk)
            .collect();
        Self {
            chance,
            request,
            kinds,
            tickets: scenario.tickets,
        }
    }

    /// What it is.
    pub(super) fn kinds(&self) -> &[Quirk] {
        &self.kinds
    }

    fn is(&self, quirk: Quirk) -> bool {
        self.kinds.contains(&quirk)
    }

    fn code(&self, code: i64) -> Code {
        Code {
            code,
            form: if self.is(Quirk::CodeText) {
                Form::Text
            } else {
                Form::Number
            },
        }
    }

    fn key(&self) -> Key {
        if self.is(Quirk::KeyForeign) {
            Key::Foreign
        } else if self.is(Quirk::KeyLower) {
            Key::Lower
        } else if self.is(Quirk::KeyPadded) {
            Key::Padded
        } else {
            Key::Same
        }
    }

    /// The beginning of a reply, up to what follows `msg`.
    fn top(&self, code: i64, room: usize) -> Text {
        let words = codes::text(code);
        let mut text = Text(Vec::with_capacity(128 + room));
        text.raw(r#"{"code":"#).code(self.code(code));
        text.raw(r#","msg":"#);
        if self.is(Quirk::MsgNull) {
            text.raw("null");
        } else if self.is(Quirk::MsgObject) {
            text.raw(r#"{"content":"#).string(words).raw("}");
        } else {
            text.string(words);
        }
        text
    }

    fn element<'a>(&self, device_key: &'a str, verdict: ElementResult) -> Element<'a> {
        let code = |code| Code {
            form: if self.is(Quirk::CodeUnreadable) {
                Form::True
            } else {
                self.code(code).form
            },
            code,
        };
        match verdict {
            Ok(ticket) => Element {
                code: code(codes::OK),
                device_key,
                key: self.key(),
                ticket: if self.is(Quirk::TicketNull) {
                    Ticket::None
                } else if self.is(Quirk::TicketNumber) && self.tickets == TicketForm::Digits {
                    Ticket::Number(ticket)
                } else {
                    Ticket::Text(ticket, self.tickets)
                },
                message: None,
            },
            Err(refusal) => Element {
                code: code(refusal),
                device_key,
                key: self.key(),
                ticket: Ticket::None,
                message: Some(codes::text(refusal)),
            },
        }
    }

    /// About half of `count` places, and never none.
    fn some_of(&self, count: usize, question: Question) -> impl Fn(usize) -> bool {
        let draw = self.chance.number(question, self.request);
        let sure = usize::try_from(draw >> 32).unwrap_or(0) % count.max(1);
        move |place| place == sure || draw.rotate_left(place as u32) & 1 == 1
    }
}

fn question(quirk: Quirk) -> Question {
    match quirk {
        Quirk::LeftOut => Question::LeftOut,
        Quirk::Doubled => Question::Doubled,
        Quirk::Stray => Question::Stray,
        Quirk::Reordered => Question::Reordered,
        Quirk::DataNull => Question::DataNull,
        Quirk::DataMissing => Question::DataMissing,
        Quirk::DataObject => Question::DataObject,
        Quirk::CodeText => Question::CodeText,
        Quirk::TicketNumber => Question::TicketNumber,
        Quirk::TicketNull => Question::TicketNull,
        Quirk::MsgNull => Question::MsgNull,
        Quirk::MsgObject => Question::MsgObject,
        Quirk::KeyLower => Question::KeyLower,
        Quirk::KeyPadded => Question::KeyPadded,
        Quirk::KeyForeign => Question::KeyForeign,
        Quirk::CodeUnreadable => Question::CodeUnreadable,
    }
}

/// The refusal of a whole request.
pub(super) fn refusal(code: i64, odd: &Odd) -> Reply {
    let mut text = odd.top(code, 0);
    text.raw(r#","data":null}"#);
    Reply::json_text(text.0)
}

/// The reply that tells each device's verdict.
pub(super) fn verdicts<'a>(
    product_key: &str,
    verdicts: impl Iterator<Item = (&'a str, ElementResult)>,
    odd: &Odd,
) -> Reply {
    let mut elements: Vec<Element<'a>> = verdicts
        .map(|(device_key, verdict)| odd.element(device_key, verdict))
        .collect();
    if !odd.kinds.is_empty() {
        disturb(&mut elements, odd);
    }
    // What stands between the code and the device key is the same in all of them.
    let mut product = Text(Vec::new());
    product.raw(r#","productKey":"#).string(product_key);
    product.raw(r#","deviceKey":"#);
    let product = String::from_utf8_lossy(&product.0);

    let keys: usize = elements.iter().map(|one| one.device_key.len()).sum();
    let room = keys + elements.len() * (product.len() + 64);
    let mut text = odd.top(codes::OK, room);
    match elements.as_slice() {
        _ if odd.is(Quirk::DataMissing) => {}
        _ if odd.is(Quirk::DataNull) => {
            text.raw(r#","data":null"#);
        }
        [single] if odd.is(Quirk::DataObject) => {
            text.raw(r#","data":"#).element(&product, single);
        }
        list => {
            text.raw(r#","data":["#);
            for (place, element) in list.iter().enumerate() {
                text.raw(if place == 0 { "" } else { "," });
                text.element(&product, element);
            }
            text.raw("]");
        }
    }
    text.raw("}");
    Reply::json_text(text.0)
}

fn disturb(elements: &mut Vec<Element<'_>>, odd: &Odd) {
    if odd.is(Quirk::LeftOut) {
        let left_out = odd.some_of(elements.len(), Question::LeftOutAt);
        let mut place = 0..;
        elements.retain(|_| !place.next().is_some_and(&left_out));
    }
    if odd.is(Quirk::Doubled) {
        let doubled = odd.some_of(elements.len(), Question::DoubledAt);
        *elements = elements
            .iter()
            .enumerate()
            .flat_map(|(place, &element)| {
                std::iter::repeat_n(element, if doubled(place) { 2 } else { 1 })
            })
            .collect();
    }
    if odd.is(Quirk::Stray) {
        elements.push(odd.element("STRAY0001", Ok(1_000_000_000_000_000_001)));
    }
    if odd.is(Quirk::Reordered) {
        elements.reverse();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    const TICKET: u64 = 1_335_004_867_605_954_560;

    fn odd(kinds: &[Quirk], request: u64) -> Odd {
        let scenario = Scenario {
            quirks: kinds
                .iter()
                .map(|&kind| (kind, 1.0))
                .collect::<BTreeMap<_, _>>(),
            ..Scenario::default()
        };
        Odd::of(&scenario, Chance::new(3), request)
    }

    fn reply(devices: &[&str], kinds: &[Quirk], request: u64) -> Value {
        let told = devices.iter().map(|&key| (key, Ok(TICKET)));
        serde_json::from_slice(&verdicts("PK0001", told, &odd(kinds, request)).body).unwrap()
    }

    #[test]
    fn the_reply_is_the_specifications_example_to_the_letter() {
        let told = [("DK00001", Ok(TICKET))].into_iter();
        let reply = verdicts("PK0001", told, &odd(&[], 1));
        assert_eq!(
            std::str::from_utf8(&reply.body).unwrap(),
            r#"{"code":200,"msg":"","data":[{"code":200,"productKey":"PK0001","deviceKey":"DK00001","ticket":"1335004867605954560","message":null}]}"#
        );
    }

    #[test]
    fn keys_that_need_escapes_get_them() {
        let keys = ["a\"b\\", "中\n", "plain"];
        let told = keys.map(|key| (key, Ok(TICKET))).into_iter();
        let reply = verdicts("P\"K", told, &odd(&[], 1));
        let reply: Value = serde_json::from_slice(&reply.body).unwrap();
        for (element, key) in reply["data"].as_array().unwrap().iter().zip(keys) {
            assert_eq!(element["deviceKey"], key);
            assert_eq!(element["productKey"], "P\"K");
        }
    }

    #[test]
    fn refusals_carry_the_tables_text() {
        let told = [("DK00001", Err(61002))].into_iter();
        let reply: Value =
            serde_json::from_slice(&verdicts("PK0001", told, &odd(&[], 1)).body).unwrap();
        assert_eq!(
            reply["data"][0],
            json!({"code": 61002, "productKey": "PK0001", "deviceKey": "DK00001", "ticket": null, "message": "Device offline"})
        );
        let whole: Value = serde_json::from_slice(&refusal(50007, &odd(&[], 1)).body).unwrap();
        let text = "The deviceID, productKey or deviceKey is empty";
        assert_eq!(whole, json!({"code": 50007, "msg": text, "data": null}));
    }

    #[test]
    fn each_quirk_is_what_it_says() {
        let devices = ["A", "B", "C", "D"];
        let keys = |reply: &Value| -> Vec<String> {
            reply["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|element| element["deviceKey"].as_str().unwrap().to_owned())
                .collect()
        };
        for request in 0..50 {
            let told = |quirk| reply(&devices, &[quirk], request);
            assert!(keys(&told(Quirk::LeftOut)).len() < 4);
            let doubled = keys(&told(Quirk::Doubled));
            assert!(
                doubled.len() > 4
                    && devices
                        .iter()
                        .all(|&key| doubled.iter().any(|one| one == key))
            );
            assert_eq!(keys(&told(Quirk::Stray)), ["A", "B", "C", "D", "STRAY0001"]);
            assert_eq!(keys(&told(Quirk::Reordered)), ["D", "C", "B", "A"]);
        }
        let told = |quirk| reply(&["A"], &[quirk], 1);
        assert_eq!(told(Quirk::LeftOut)["data"], json!([]));
        assert_eq!(told(Quirk::DataNull).get("data"), Some(&Value::Null));
        assert_eq!(told(Quirk::DataMissing).get("data"), None);
        assert_eq!(told(Quirk::DataObject)["data"]["deviceKey"], "A");
        assert_eq!(told(Quirk::CodeText)["code"], "200");
        assert_eq!(told(Quirk::CodeText)["data"][0]["code"], "200");
        assert_eq!(told(Quirk::TicketNumber)["data"][0]["ticket"], TICKET);
        assert_eq!(told(Quirk::TicketNull)["data"][0]["ticket"], Value::Null);
        assert_eq!(told(Quirk::KeyLower)["data"][0]["deviceKey"], "a");
        assert_eq!(told(Quirk::KeyPadded)["data"][0]["deviceKey"], " A\t");
        assert_eq!(told(Quirk::KeyForeign)["data"][0]["deviceKey"], "0000A");
        assert_eq!(told(Quirk::CodeUnreadable)["data"][0]["code"], true);
        assert_eq!(told(Quirk::MsgNull)["msg"], Value::Null);
        assert_eq!(told(Quirk::MsgObject)["msg"], json!({"content": ""}));
    }
}

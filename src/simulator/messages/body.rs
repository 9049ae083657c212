//! What a message says ("Data Format Definition").

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{MessageKind, Taken};
use crate::simulator::{
    chance::hash,
    delivery_state::ANSWER_MS,
    entry::{by_code, inputs, pairs},
};

/// How long the platform takes to issue a command, and to say that it was sent, as in the vendor's examples.
const ISSUE_MS: i64 = 10;
const ACKNOWLEDGE_MS: i64 = 20;

/// What the commands of one request have in common.
pub(super) struct Order {
    product_key: String,
    at_ms: i64,
    /// The services that each of them calls.
    pub(super) calls: Vec<Call>,
}

/// The call of a service.
pub(super) struct Call {
    code: String,
    /// Its parameters by name.
    kv: Value,
}

/// One command.
pub(super) struct Commanded {
    pub(super) order: Arc<Order>,
    pub(super) device_key: String,
    pub(super) ticket: String,
    pub(super) packet_id: u64,
    /// What the device says when it answers.
    pub(super) answer: Map<String, Value>,
}

impl Order {
    pub(super) fn of(model: &Value, taken: &Taken<'_>) -> Self {
        let model = model.get("data").unwrap_or(model);
        let data: Value = serde_json::from_str(taken.data).unwrap_or_default();
        let calls = pairs(&data).into_iter().map(|(code, value)| {
            let service = by_code(&model["services"], code);
            let inputs = service.map(|service| Value::Array(inputs(model, service)));
            Call {
                code: code.to_owned(),
                kv: members(inputs.as_ref().unwrap_or(&Value::Null), value),
            }
        });
        Self {
            product_key: taken.product_key.to_owned(),
            at_ms: taken.at_ms,
            calls: calls.collect(),
        }
    }
}

/// Parameters, or the members of a structure, by name.
fn members(definitions: &Value, value: &Value) -> Value {
    let members = pairs(value).into_iter().map(|(code, value)| {
        let definition = by_code(definitions, code).unwrap_or(&Value::Null);
        (code.to_owned(), named(definition, value))
    });
    members.collect::<Map<_, _>>().into()
}

/// A value as messages have it: booleans bare, numbers as text.
fn named(definition: &Value, value: &Value) -> Value {
    let specs = &definition["specs"];
    match (definition["dataType"].as_str().unwrap_or_default(), value) {
        ("BOOL", Value::String(text)) => json!(text == "true"),
        ("ARRAY", list @ Value::Array(_)) => {
            let inner = json!({"dataType": specs["dataType"], "specs": specs["specs"]});
            let elements = pairs(list).into_iter();
            elements.map(|(_, value)| named(&inner, value)).collect()
        }
        (_, Value::Array(_)) => members(specs, value),
        (_, plain) => plain.clone(),
    }
}

impl Commanded {
    /// The message of this kind; about this call, where the command calls several services.
    pub(super) fn message(&self, kind: MessageKind, call: usize) -> Value {
        let at_ms = self.order.at_ms;
        let call = self.order.calls.get(call);
        let code = call.map_or("", |call| &call.code);
        let packet = |kv: Value| json!({"packetId": self.packet_id, "code": code, "kv": kv});
        let reqack = |status: &str| json!({"sentAt": at_ms, "status": status});
        let (kind, subtype, after, data) = match kind {
            MessageKind::Input => {
                let kv = call.map_or_else(|| json!({}), |call| call.kv.clone());
                ("MSERV", Some("INPUT"), ISSUE_MS, packet(kv))
            }
            MessageKind::ReqackSucc => ("REQACK", None, ACKNOWLEDGE_MS, reqack("succ")),
            MessageKind::ReqackFail => ("REQACK", None, ACKNOWLEDGE_MS, reqack("fail")),
            MessageKind::Output => {
                let kv = self.answer.clone().into();
                ("MSERV", Some("OUTPUT"), ANSWER_MS, packet(kv))
            }
            // Online, or online again.
            MessageKind::Online => {
                let value = 1 + (hash(&self.device_key) & 1);
                ("ONLINE", None, 0, json!({"value": value}))
            }
        };
        let ticket = match kind {
            "ONLINE" => format!("{:024x}", hash(&self.ticket)),
            _ => self.ticket.clone(),
        };
        let mut message = json!({
            "type": kind,
            "productKey": self.order.product_key,
            "deviceKey": self.device_key,
            "createdAt": at_ms + after,
            "ticket": ticket,
            "data": data,
        });
        if let Some(subtype) = subtype {
            message["subtype"] = json!(subtype);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = include_str!("../../../samples/thing-model.json");

    fn commanded(data: &str) -> Commanded {
        let taken = Taken {
            product_key: "pX1",
            data,
            at_ms: 1_750_000_000_100,
            devices: &["D7"],
            first_ticket: 0,
        };
        Commanded {
            order: Arc::new(Order::of(&serde_json::from_str(MODEL).unwrap(), &taken)),
            device_key: "D7".to_owned(),
            ticket: "1380000000000000001".to_owned(),
            packet_id: 41,
            answer: Map::from_iter([("result".to_owned(), json!("0"))]),
        }
    }

    #[test]
    fn messages_are_those_of_the_vendors_page() {
        let command = commanded(r#"[{"reboot":[{"delay":"5"}]}]"#);
        assert_eq!(
            command.message(MessageKind::Input, 0),
            json!({"type":"MSERV","subtype":"INPUT","productKey":"pX1","deviceKey":"D7","createdAt":1_750_000_000_110_i64,
                "ticket":"1380000000000000001","data":{"packetId":41,"code":"reboot","kv":{"delay":"5"}}})
        );
        assert_eq!(
            command.message(MessageKind::ReqackSucc, 0),
            json!({"type":"REQACK","productKey":"pX1","deviceKey":"D7","createdAt":1_750_000_000_120_i64,"ticket":"1380000000000000001",
                "data":{"sentAt":1_750_000_000_100_i64,"status":"succ"}})
        );
        let output = command.message(MessageKind::Output, 0);
        assert_eq!(
            output["data"],
            json!({"packetId":41,"code":"reboot","kv":{"result":"0"}})
        );
        let online = command.message(MessageKind::Online, 0);
        assert_eq!(online["ticket"].as_str().map(str::len), Some(24));
        assert!(online["data"]["value"] == 1 || online["data"]["value"] == 2);
    }

    #[test]
    fn values_are_named_and_booleans_are_bare() {
        let kv = |data: &str| {
            let command = commanded(data);
            let calls = 0..command.order.calls.len();
            let call = |n| command.message(MessageKind::Input, n)["data"]["kv"].clone();
            calls.map(call).collect::<Vec<_>>()
        };
        assert_eq!(
            kv(
                r#"[{"setTone":[{"volume":"7"},{"repeat":"false"}]},{"setMode":[{"target":"20.5"}]}]"#
            ),
            [
                json!({"volume": "7", "repeat": false}),
                json!({"target": "20.5"})
            ]
        );
        assert_eq!(
            kv(r#"[{"setLimits":[{"limits":[{"0":"1"},{"0":"2"}]}]}]"#),
            [json!({"limits": ["1", "2"]})]
        );
        assert_eq!(kv(r#"[{"stop":[]}]"#), [json!({})]);
        assert_eq!(kv("no JSON"), Vec::<Value>::new());
    }
}

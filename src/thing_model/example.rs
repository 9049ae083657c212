//! Values that fit a model, for the template of a manifest.

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::{
    Element, ThingModel,
    kind::{Kind, Range},
};

impl ThingModel {
    /// The parameters of a service with a value each that fits, as a manifest writes them; `None` when the model has no such service.
    /// Parameters that cannot be sent, since they are read-only, are left out.
    pub(crate) fn example(&self, service: &str) -> Option<Vec<(&str, Value)>> {
        let service = self.services.get(service)?;
        Some(examples(&service.inputs))
    }
}

fn examples(elements: &[Element]) -> Vec<(&str, Value)> {
    elements
        .iter()
        .filter(|element| !element.is_read_only)
        .map(|element| (&*element.code, example(&element.kind)))
        .collect()
}

fn example(kind: &Kind) -> Value {
    match kind {
        Kind::Number(range) => Value::String(number(range).to_string()),
        Kind::Bool => Value::Bool(true),
        Kind::Enum(members) => members.first().map_or(Value::Null, |member| {
            Value::String(member.value.to_string())
        }),
        Kind::Text(most) => Value::String("text".chars().take(most.unwrap_or(4)).collect()),
        Kind::Raw(_) => Value::String("AA".to_owned()),
        // A time in milliseconds has 13 digits, whatever a model says.
        Kind::Date(digits) => {
            let zeros = "0".repeat((*digits).clamp(1, 13) - 1);
            Value::String(format!("1{zeros}"))
        }
        Kind::Struct(members) => Value::Object(
            examples(members)
                .into_iter()
                .map(|(code, value)| (code.to_owned(), value))
                .collect::<Map<_, _>>(),
        ),
        Kind::Array(_, kind) => Value::Array(vec![example(kind)]),
        Kind::Unknown => Value::String("value".to_owned()),
    }
}

/// The least number that fits, or 0 where that fits.
fn number(range: &Range) -> Decimal {
    match (range.min, range.max) {
        (Some(min), _) => min,
        (None, Some(max)) if max < Decimal::ZERO => match range.step {
            // Steps count from 0 where there is no least number.
            Some(step) if step > Decimal::ZERO => max
                .checked_div(step)
                .and_then(|steps| steps.floor().checked_mul(step))
                .unwrap_or(max),
            _ => max,
        },
        _ => Decimal::ZERO,
    }
}

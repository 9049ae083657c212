//! Whether a device has answered as expected.
//!
//! The answer is stored, and the judgement beside it: another expectation judges the answer again.

use serde_json::Value;

use crate::model::{Delivery, ExpectedAnswer, Proof};

/// Judges the answer that a proof has, if it has one and if anything is expected.
pub(crate) fn judge(proof: &mut Proof, expected: &[ExpectedAnswer]) {
    if !expected.is_empty() && proof.delivery == Delivery::Answered {
        proof.delivery = judged(proof.answer.as_deref(), expected);
    }
}

/// What an answer that was kept as JSON counts as. One that lacks an expected code is another answer, and so is none.
pub(crate) fn judged(answer: Option<&str>, expected: &[ExpectedAnswer]) -> Delivery {
    let told: Value = answer
        .and_then(|answer| serde_json::from_str(answer).ok())
        .unwrap_or(Value::Null);
    let is_as_expected = expected.iter().all(|expected| {
        output(&told, &expected.code).is_some_and(|value| is_same(value, &expected.value))
    });
    if is_as_expected {
        Delivery::Answered
    } else {
        Delivery::AnswerFailed
    }
}

/// The output of this code: of a message's `kv`, or of a history's entry, `[{"service":[{"code":value}]}]` or `[{"code":value}]`.
fn output<'a>(told: &'a Value, code: &str) -> Option<&'a Value> {
    let of_list = |list: &'a Value| list.as_array()?.iter().find_map(|one| one.get(code));
    match told {
        Value::Object(outputs) => outputs.get(code),
        Value::Array(entries) => of_list(told).or_else(|| {
            let services = entries.iter().filter_map(Value::as_object);
            services
                .flat_map(|service| service.values())
                .find_map(of_list)
        }),
        _ => None,
    }
}

/// Whether a value is the expected one: numbers by their value, anything else as it is written.
fn is_same(told: &Value, expected: &str) -> bool {
    let told = match told {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    told == expected
        || number(&told)
            .zip(number(expected))
            .is_some_and(|(told, expected)| told.total_cmp(&expected).is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EvidenceSource, Timestamp};

    #[test]
    fn a_proof_is_judged_where_an_answer_is_expected() {
        let of = |delivery, answer: Option<&str>, expected: &[&str]| {
            let mut proof = Proof {
                delivery,
                source: EvidenceSource::History,
                at: None,
                known_at: Timestamp(0),
                answer: answer.map(Into::into),
            };
            let expected: Vec<_> = expected.iter().map(|one| one.parse().unwrap()).collect();
            judge(&mut proof, &expected);
            assert_eq!(proof.answer.as_deref(), answer, "it is kept");
            proof.delivery
        };
        let answer = Some(r#"{"result":"0"}"#);
        for (expected, delivery) in [
            (&["result=0"][..], Delivery::Answered),
            (&["result=1"], Delivery::AnswerFailed),
            (&[], Delivery::Answered),
        ] {
            assert_eq!(of(Delivery::Answered, answer, expected), delivery);
        }
        assert_eq!(
            of(Delivery::Answered, None, &["result=0"]),
            Delivery::AnswerFailed
        );
        assert_eq!(of(Delivery::Sent, None, &["result=0"]), Delivery::Sent);
    }

    fn of(answer: &str, expected: &[&str]) -> Delivery {
        let expected: Vec<_> = expected.iter().map(|one| one.parse().unwrap()).collect();
        judged(Some(answer), &expected)
    }

    #[test]
    fn every_form_of_an_answer_is_read() {
        for answer in [
            r#"{"result":"0","text":"ok"}"#,
            r#"{"result":0}"#,
            r#"[{"result":"0"}]"#,
            r#"[{"other":"7"},{"result":"0.0"}]"#,
            r#"[{"fuwu":[{"text":"ok"},{"result":"0"}]}]"#,
        ] {
            assert_eq!(of(answer, &["result=0"]), Delivery::Answered, "{answer}");
            assert_eq!(
                of(answer, &["result=1"]),
                Delivery::AnswerFailed,
                "{answer}"
            );
        }
        assert_eq!(of(r#"{"on":true}"#, &["on=true"]), Delivery::Answered);
        assert_eq!(of(r#"{"on":true}"#, &["on=false"]), Delivery::AnswerFailed);
        assert_eq!(of(r#"{"hex":"0A"}"#, &["hex=0a"]), Delivery::AnswerFailed);
    }

    #[test]
    fn what_is_missing_is_another_answer() {
        assert_eq!(
            of(r#"{"text":"ok"}"#, &["result=0"]),
            Delivery::AnswerFailed
        );
        assert_eq!(
            of(r#"[{"id":5,"value":"0"}]"#, &["result=0"]),
            Delivery::AnswerFailed
        );
        assert_eq!(
            of(r#"{"result":"0"}"#, &["result=0", "text=ok"]),
            Delivery::AnswerFailed
        );
        assert_eq!(
            judged(None, &["result=0".parse().unwrap()]),
            Delivery::AnswerFailed
        );
        // What a member of a struct says is not what the output says.
        assert_eq!(
            of(r#"{"cfg":{"result":"0"}}"#, &["result=0"]),
            Delivery::AnswerFailed
        );
        assert_eq!(of("{}", &[]), Delivery::Answered);
        assert!("result".parse::<ExpectedAnswer>().is_err());
        assert!("=0".parse::<ExpectedAnswer>().is_err());
    }
}

//! Replies about devices that were not asked about: the platform returns keys in a form that nothing here can match.
//!
//! All such requests are in doubt, and sending them again gives the same reply. So a push stops before it sends everything to the whole
//! fleet several times.

use crate::model::{Answer, Payload};

/// So many requests in a row that are answered with strays alone stop the push.
const MOST: u32 = 5;

/// The requests of a push, as far as their replies name devices.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    in_row: u32,
}

impl Strays {
    /// Hears an answer to a request of this payload to `devices`. Gives the reason why the push has to stop, when it has to.
    pub(crate) fn hear<'d>(
        &mut self,
        payload: &Payload,
        devices: impl IntoIterator<Item = &'d str>,
        answer: &Answer,
    ) -> Option<String> {
        if answer.elements.iter().any(Option::is_some) {
            self.in_row = 0;
            return None;
        }
        let stray = answer.strays.first()?;
        self.in_row += 1;
        if self.in_row < MOST {
            return None;
        }
        let asked = devices.into_iter().next().unwrap_or_default();
        let product = &payload.product_key;
        Some(format!(
            "the platform answered {MOST} requests in a row with keys that were not in the request: for device {asked:?} of product {product:?}, it answered {stray}: \
             compare the manifest's keys with the platform's; the answer is in the view requests, column error"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Element, Stray};

    fn payload() -> Payload {
        Payload::plain("PK", "[]")
    }

    fn strays_alone() -> Answer {
        Answer {
            elements: vec![None],
            strays: vec![Stray {
                device_key: "0000DK1".into(),
                ..Stray::default()
            }],
            ..Answer::default()
        }
    }

    fn hear(strays: &mut Strays, answer: &Answer) -> Option<String> {
        strays.hear(&payload(), ["DK1"], answer)
    }

    #[test]
    fn five_in_a_row_name_a_pair() {
        let mut strays = Strays::default();
        for _ in 0..4 {
            assert_eq!(hear(&mut strays, &strays_alone()), None);
        }
        let reason = hear(&mut strays, &strays_alone()).unwrap();
        assert!(
            reason.contains("\"DK1\"") && reason.contains("\"0000DK1\""),
            "{reason}"
        );
    }

    #[test]
    fn a_device_that_is_recognised_ends_the_row_and_silence_does_not_count() {
        let mut strays = Strays::default();
        let recognised = Answer {
            elements: vec![Some(Element::default())],
            ..strays_alone()
        };
        let silent = Answer {
            elements: vec![None],
            ..Answer::default()
        };
        for _ in 0..4 {
            hear(&mut strays, &strays_alone());
        }
        assert_eq!(hear(&mut strays, &recognised), None);
        for _ in 0..4 {
            assert_eq!(hear(&mut strays, &strays_alone()), None);
            assert_eq!(hear(&mut strays, &silent), None);
        }
        assert!(hear(&mut strays, &strays_alone()).is_some());
    }
}

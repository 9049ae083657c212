//! What the platform has acted on, in the order in which it did: the truth that a client's records are held against.

use std::sync::Arc;

use serde::Serialize;

use super::scenario::TicketForm;
use crate::model::Timestamp;

/// One command that the platform took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Delivery {
    /// The product of the device.
    pub product_key: String,
    /// The device.
    pub device_key: String,
    /// The ticket that the reply named, if it named one.
    pub ticket: String,
    /// What was sent.
    pub data: String,
    /// The number of the request, from 1 in the order of arrival.
    pub request: u64,
    /// When it was acted on, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// The deliveries of one request: what they share is stored once.
struct Acted {
    product_key: Arc<str>,
    data: Arc<str>,
    request: u64,
    at: Timestamp,
    /// The devices have successive tickets from this one on.
    first_ticket: u64,
    tickets: TicketForm,
    devices: Box<[Box<str>]>,
}

/// The ledger, and the source of tickets: both under one lock, so that tickets grow in the ledger's order.
#[derive(Default)]
pub(super) struct Ledger {
    last_ticket: u64,
    acted: Vec<Acted>,
}

/// Tickets are Snowflake ids, as the specification's example is: milliseconds since this moment, then 22 bits.
const SNOWFLAKE_EPOCH_MS: i64 = 1_288_834_974_657;

impl Ledger {
    /// Gives successive tickets to the devices, and remembers them if asked to. Returns the first ticket.
    pub(super) fn record(
        &mut self,
        (keep, tickets): (bool, TicketForm),
        (request, at): (u64, Timestamp),
        (product_key, data): (&str, &str),
        devices: &[&str],
    ) -> u64 {
        let elapsed = u64::try_from(at.0 - SNOWFLAKE_EPOCH_MS).unwrap_or(0);
        let first_ticket = (elapsed << 22).max(self.last_ticket + 1);
        self.last_ticket = first_ticket + devices.len() as u64 - u64::from(!devices.is_empty());
        if keep && !devices.is_empty() {
            self.acted.push(Acted {
                product_key: product_key.into(),
                data: data.into(),
                request,
                at,
                first_ticket,
                tickets,
                devices: devices.iter().map(|&device| device.into()).collect(),
            });
        }
        first_ticket
    }

    /// The deliveries, or those to one device.
    pub(super) fn deliveries(&self, device: Option<&str>) -> Vec<Delivery> {
        self.acted
            .iter()
            .flat_map(|acted| {
                (acted.first_ticket..)
                    .zip(&acted.devices)
                    .map(move |(ticket, key)| (acted, ticket, key))
            })
            .filter(|(_, _, key)| device.is_none_or(|device| device == &***key))
            .map(|(acted, ticket, key)| Delivery {
                product_key: acted.product_key.as_ref().to_owned(),
                device_key: key.clone().into_string(),
                ticket: acted.tickets.text(ticket),
                data: acted.data.as_ref().to_owned(),
                request: acted.request,
                at_ms: acted.at.0,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: (bool, TicketForm) = (true, TicketForm::Digits);

    #[test]
    fn tickets_have_19_digits_and_grow_even_when_time_does_not() {
        let mut ledger = Ledger::default();
        let now = Timestamp(1_795_376_549_123);
        let payload = ("PK1", "[]");
        let first = ledger.record(KEPT, (1, now), payload, &["A", "B", "C"]);
        let second = ledger.record(KEPT, (2, now), payload, &["A"]);
        let third = ledger.record(
            (false, TicketForm::Digits),
            (3, Timestamp(now.0 - 5000)),
            payload,
            &["A", "B"],
        );
        assert_eq!(first.to_string().len(), 19);
        assert_eq!(second, first + 3);
        assert_eq!(third, second + 1);
        let later = ledger.record(KEPT, (4, Timestamp(now.0 + 1)), payload, &["C"]);
        assert!(later > third + 1);

        let told: Vec<(u64, String, String)> = ledger
            .deliveries(None)
            .into_iter()
            .map(|one| (one.request, one.device_key, one.ticket))
            .collect();
        let expected = [
            (1, "A", first),
            (1, "B", first + 1),
            (1, "C", first + 2),
            (2, "A", second),
            (4, "C", later),
        ];
        assert_eq!(
            told,
            expected.map(|(request, key, ticket)| (request, key.to_owned(), ticket.to_string()))
        );
        assert_eq!(ledger.deliveries(Some("C")).len(), 2);
    }

    #[test]
    fn nothing_accepted_leaves_no_trace() {
        let mut ledger = Ledger::default();
        ledger.record(KEPT, (1, Timestamp(0)), ("PK1", "[]"), &[]);
        let first = ledger.record(KEPT, (2, Timestamp(0)), ("PK1", "[]"), &["A"]);
        let second = ledger.record(KEPT, (3, Timestamp(0)), ("PK1", "[]"), &["A"]);
        assert_eq!(second, first + 1);
        assert_eq!(ledger.deliveries(None).len(), 2);
    }
}

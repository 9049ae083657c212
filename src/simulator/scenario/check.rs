//! What a scenario must hold to beyond its types, and why one cannot be played.

use std::{collections::BTreeMap, fmt};

use super::{BrokerUrl, Messages, Scenario};

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The text is not a scenario: a syntax error, an unknown field, a value of the wrong type.
    #[error("{path} is not a scenario: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What the parser said.
        reason: String,
    },
    /// A change that is not one: an unknown field, a value of the wrong type.
    #[error("not a change of the scenario")]
    Change(#[source] serde_json::Error),
    /// A share outside 0 to 1.
    #[error("scenario field {field} is {value}: a share is a number from 0 to 1")]
    Share {
        /// The field.
        field: String,
        /// What it was.
        value: f64,
    },
    /// Shares of alternatives that add up to more than 1.
    #[error(
        "the shares of scenario field {field} add up to more than 1: a request meets one fault at most"
    )]
    TooManyFaults {
        /// The field.
        field: &'static str,
    },
    /// A list that must not be empty.
    #[error("scenario field {field} is empty: give at least one code")]
    NoCodes {
        /// The field.
        field: &'static str,
    },
    /// A number that makes no sense.
    #[error("scenario field {field} must be {must}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

impl Scenario {
    /// Checks what the types leave open.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        let single = [
            ("offline", self.offline),
            ("rejected", self.rejected),
            ("transient", self.transient),
            ("frequency_at_first.share", self.frequency_at_first.share),
            ("quota_at_first.share", self.quota_at_first.share),
            ("poison", self.poison),
            ("history_gap", self.history_gap),
            ("history.queued", self.history.queued),
            ("history.send_failed", self.history.send_failed),
            ("history.answered", self.history.answered),
            ("history.repeated", self.history.repeated),
            ("history.refused", self.history.refused),
            ("messages.missing", self.messages.missing),
            ("messages.repeated", self.messages.repeated),
            ("messages.online", self.messages.online),
            ("inventory.inactive", self.inventory.inactive),
            ("inventory.raw", self.inventory.raw),
            ("inventory.duplicates", self.inventory.duplicates),
        ];
        for (field, value) in single {
            check_share(field, value)?;
        }
        check_map("quirks", &self.quirks)?;
        for (field, faults) in [
            ("faults", &self.faults),
            ("login_faults", &self.login_faults),
        ] {
            check_map(field, faults)?;
            // Ten shares of 0.1 add up to a little more than 1.
            if faults.values().sum::<f64>() > 1.0 + 1e-9 {
                return Err(ScenarioError::TooManyFaults { field });
            }
        }
        for (field, codes) in [
            ("rejected_codes", &self.rejected_codes),
            ("transient_codes", &self.transient_codes),
        ] {
            if codes.is_empty() {
                return Err(ScenarioError::NoCodes { field });
            }
        }
        if self
            .rate_limit
            .is_some_and(|rate| !(rate.is_finite() && rate > 0.0))
        {
            return Err(ScenarioError::OutOfRange {
                field: "rate_limit",
                must: "above 0",
            });
        }
        if !(self.rate_burst.is_finite() && self.rate_burst >= 1.0) {
            return Err(ScenarioError::OutOfRange {
                field: "rate_burst",
                must: "at least 1",
            });
        }
        if self.rate_limit.is_some() && self.limit.is_some() {
            return Err(ScenarioError::OutOfRange {
                field: "rate_limit",
                must: "left out when there is a limit",
            });
        }
        check_messages(&self.messages)?;
        if self.inventory.page_limit == 0 {
            return Err(ScenarioError::OutOfRange {
                field: "inventory.page_limit",
                must: "at least 1",
            });
        }
        if self
            .refuse_status
            .is_some_and(|status| !(300..600).contains(&status))
        {
            return Err(ScenarioError::OutOfRange {
                field: "refuse_status",
                must: "a status from 300 to 599",
            });
        }
        let header_text = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if self
            .retry_after
            .as_deref()
            .is_some_and(|text| !header_text(text))
        {
            return Err(ScenarioError::OutOfRange {
                field: "retry_after",
                must: "printable ASCII text",
            });
        }
        Ok(())
    }
}

fn check_messages(messages: &Messages) -> Result<(), ScenarioError> {
    let amqp = messages.amqp.as_deref();
    if amqp.is_some_and(|amqp| BrokerUrl::parse(amqp).is_none()) {
        return Err(ScenarioError::OutOfRange {
            field: "messages.amqp",
            must: "the address of a message broker on this machine, as in amqp://guest:guest@127.0.0.1:5672/quec-open",
        });
    }
    // What AMQP can carry.
    if !(1..=255).contains(&messages.queue.len()) {
        return Err(ScenarioError::OutOfRange {
            field: "messages.queue",
            must: "the full name of a queue, as in a.1.fleet",
        });
    }
    Ok(())
}

fn check_share(field: &str, value: f64) -> Result<(), ScenarioError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(ScenarioError::Share {
            field: field.to_owned(),
            value,
        })
    }
}

fn check_map<K: fmt::Display>(field: &str, shares: &BTreeMap<K, f64>) -> Result<(), ScenarioError> {
    shares
        .iter()
        .try_for_each(|(key, &value)| check_share(&format!("{field}.{key}"), value))
}

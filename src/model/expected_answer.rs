//! What devices are expected to answer.

use std::{fmt::Display, str::FromStr};

use super::OptionError;

/// `CODE=VALUE`: the output of a service that an answer has to have, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedAnswer {
    /// The code of the output.
    pub(crate) code: Box<str>,
    /// Its value, as text.
    pub(crate) value: Box<str>,
}

impl FromStr for ExpectedAnswer {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((code, value)) if !code.trim().is_empty() => Ok(Self {
                code: code.trim().into(),
                value: value.trim().into(),
            }),
            _ => Err(OptionError(format!(
                "{text:?} is no expected answer: write the code of an output and its value, as in result=0"
            ))),
        }
    }
}

impl Display for ExpectedAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.code, self.value)
    }
}

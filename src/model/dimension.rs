//! What the tasks of a run are broken down by.

use std::{fmt, str::FromStr};

/// What the tasks of a run are broken down by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    Product,
    /// The code that decided, or the class where none did.
    Code,
    Payload,
    /// The hour in which a task ended.
    Hour,
    /// A label of the manifest.
    Label(String),
}

/// The text names none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write product, code, payload, hour, or label.KEY for a label of the manifest{}", did_you_mean(.0))]
pub struct DimensionError(String);

fn did_you_mean(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": is it label.{text}?")
    }
}

impl FromStr for Dimension {
    type Err = DimensionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "product" => Ok(Self::Product),
            "code" => Ok(Self::Code),
            "payload" => Ok(Self::Payload),
            "hour" => Ok(Self::Hour),
            _ => match text.strip_prefix("label.") {
                Some(key) if !key.is_empty() => Ok(Self::Label(key.to_owned())),
                _ => Err(DimensionError(
                    text.strip_prefix("label.").unwrap_or(text).to_owned(),
                )),
            },
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Product => f.write_str("product"),
            Self::Code => f.write_str("code"),
            Self::Payload => f.write_str("payload"),
            Self::Hour => f.write_str("hour"),
            Self::Label(key) => write!(f, "label.{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_is_read_as_it_is_shown() {
        for text in [
            "product",
            "code",
            "payload",
            "hour",
            "label.site",
            "label.a.b",
        ] {
            assert_eq!(text.parse::<Dimension>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_answered_with_all_and_the_likely_one() {
        let told = |text: &str| text.parse::<Dimension>().unwrap_err().to_string();
        insta::assert_snapshot!(told("site"), @"write product, code, payload, hour, or label.KEY for a label of the manifest: is it label.site?");
        insta::assert_snapshot!(told("label."), @"write product, code, payload, hour, or label.KEY for a label of the manifest");
    }
}

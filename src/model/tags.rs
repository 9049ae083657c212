//! The tags of a run, by which teams that share a database tell their runs apart.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::OptionError;

/// What a key or a value may have at the most, in bytes.
const LONGEST: usize = 200;

/// Tags by their keys. As text `team=network;site=oslo`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a run whose tags are this JSON object has all of these.
    pub fn are_in(&self, json: &str) -> bool {
        let of_run = Self::of_run(json);
        let mut wanted = self.0.iter();
        wanted.all(|(key, value)| of_run.0.get(key) == Some(value))
    }

    /// The tags of a run, which are kept as a JSON object.
    pub fn of_run(json: &str) -> Self {
        Self(serde_json::from_str(json).unwrap_or_default())
    }

    /// The tags as a JSON object, its keys in order.
    pub fn json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }
}

impl FromStr for Tags {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |part: &str| {
            OptionError(format!(
                "{part:?} is not a tag: write KEY=VALUE, as in team=network; semicolons separate several"
            ))
        };
        let is_plain = |text: &str| {
            !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
        };
        let mut tags = BTreeMap::new();
        for part in text.split(';') {
            let (key, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
            let (key, value) = (key.trim(), value.trim());
            if !is_plain(key) || !is_plain(value) {
                return Err(wrong(part));
            }
            if let Some(before) = tags.insert(key.to_owned(), value.to_owned())
                && before != value
            {
                return Err(OptionError(format!(
                    "the tag {key} has two values, {before} and {value}: give it once"
                )));
            }
        }
        Ok(Self(tags))
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { ";" };
            write!(f, "{between}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_and_written_in_one_form() {
        let tags: Tags = "team=net ;site= oslo;a=b=c".parse().unwrap();
        assert_eq!(tags.to_string(), "a=b=c;site=oslo;team=net");
        assert_eq!(tags.json(), r#"{"a":"b=c","site":"oslo","team":"net"}"#);
        assert_eq!(tags.to_string().parse::<Tags>().unwrap(), tags);
        assert!("x=1;x=1".parse::<Tags>().is_ok());
        let some: Tags = "team=net".parse().unwrap();
        assert!(some.are_in(&tags.json()) && !tags.are_in(&some.json()));
        assert!(Tags::default().are_in("{}") && !some.are_in("{}"));
    }

    #[test]
    fn what_is_no_tag_is_refused_with_what_to_write() {
        for text in ["", "team", "=net", "team=", "team=a\nb", "a=1;;b=2"] {
            let error = text.parse::<Tags>().unwrap_err().to_string();
            assert!(error.contains("KEY=VALUE"), "{text:?}: {error}");
        }
        let error = "x=1;x=2".parse::<Tags>().unwrap_err().to_string();
        assert!(error.contains("two values"), "{error}");
    }
}

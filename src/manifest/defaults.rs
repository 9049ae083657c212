//! Run-wide defaults: the flags that stand in for columns, so that a list of device keys is a manifest.

use super::{ManifestError, cell, json};

/// Run-wide defaults from flags; a row's own value wins over them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Defaults {
    /// `--product-key`.
    pub product_key: Option<String>,
    /// `--service`.
    pub service: Option<String>,
    /// `--param CODE=VALUE`, in the order given. A value that begins with `[` or `{` is JSON, as in a CSV cell.
    ///
    /// They belong to [`service`](Self::service): a row that names another service gets none of them. Without a default service they
    /// go to every row that names one.
    pub params: Vec<(String, String)>,
    /// `--data`: the wire string.
    pub data: Option<String>,
    /// `--qos`.
    pub qos: Option<i32>,
    /// `--cache SECONDS`: `isCache` is true and `cacheTime` this.
    pub cache_time: Option<i64>,
    /// `--cover`: `isCover` is true.
    pub cover: bool,
}

impl Defaults {
    /// Canonical JSON of what is set: a part of a run's identity, shown when two pushes of one name differ.
    pub fn canonical(&self) -> String {
        let mut members = Vec::new();
        let mut text = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                members.push(member(name, value));
            }
        };
        text("product_key", &self.product_key);
        text("service", &self.service);
        text("data", &self.data);
        if !self.params.is_empty() {
            let params: Vec<_> = self
                .params
                .iter()
                .map(|(code, value)| member(code, value))
                .collect();
            members.push(format!("\"params\":{{{}}}", params.join(",")));
        }
        members.extend(self.qos.map(|qos| format!("\"qos\":{qos}")));
        members.extend(
            self.cache_time
                .map(|seconds| format!("\"cache\":{seconds}")),
        );
        if self.cover {
            members.push("\"cover\":true".into());
        }
        format!("{{{}}}", members.join(","))
    }

    /// Whether the flags can be sent and agree with one another.
    ///
    /// Whether `--param` values have a wire form is seen when they are encoded.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        if let Some(key) = &self.product_key {
            cell::check_key(key)
                .and_then(|()| cell::check_meant(key, "write it in JSONL, as `product_key`"))
                .map_err(|reason| flag("--product-key", reason))?;
        }
        if let Some(data) = &self.data {
            if self.service.is_some() || !self.params.is_empty() {
                return Err(flag(
                    "--data",
                    "excludes `--service` and `--param`: leave one of them out",
                ));
            }
            cell::wire_string(data).map_err(|reason| flag("--data", reason))?;
        }
        if let Some(service) = &self.service {
            cell::check_code(service).map_err(|reason| flag("--service", reason))?;
        }
        for (place, (code, _)) in self.params.iter().enumerate() {
            if code.is_empty() {
                return Err(flag("--param", "needs a code before the `=`"));
            }
            cell::check_code(code).map_err(|reason| flag("--param", reason))?;
            if self.params[..place].iter().any(|(other, _)| other == code) {
                return Err(flag("--param", format!("`{code}` is given twice")));
            }
        }
        if self.cache_time.is_some_and(|seconds| seconds < 0) {
            return Err(flag("--cache", "has to be 0 seconds or more"));
        }
        Ok(())
    }
}

/// An error that names a flag.
pub(super) fn flag(flag: &'static str, reason: impl Into<String>) -> ManifestError {
    ManifestError::Flag {
        flag,
        reason: reason.into(),
    }
}

fn member(name: &str, value: &str) -> String {
    let mut out = String::new();
    json::push_string(&mut out, name);
    out.push(':');
    json::push_string(&mut out, value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_holds_only_what_is_set() {
        assert_eq!(Defaults::default().canonical(), "{}");
        let defaults = Defaults {
            product_key: Some("PK\"1".into()),
            service: Some("fuwu".into()),
            params: vec![("b".into(), "1".into()), ("a".into(), "[1,2]".into())],
            data: None,
            qos: Some(2),
            cache_time: Some(360),
            cover: true,
        };
        let canonical = defaults.canonical();
        assert_eq!(
            canonical,
            r#"{"product_key":"PK\"1","service":"fuwu","params":{"b":"1","a":"[1,2]"},"qos":2,"cache":360,"cover":true}"#
        );
        assert!(serde_json::from_str::<serde_json::Value>(&canonical).is_ok());
    }

    #[test]
    fn defaults_that_cannot_be_sent_name_their_flag() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (
                "--product-key",
                Defaults {
                    product_key: some("8.6E+14"),
                    ..Defaults::default()
                },
            ),
            (
                "--data",
                Defaults {
                    data: some("AA"),
                    ..Defaults::default()
                },
            ),
            (
                "--data",
                Defaults {
                    data: some("[]"),
                    service: some("fuwu"),
                    ..Defaults::default()
                },
            ),
            (
                "--service",
                Defaults {
                    service: some(""),
                    ..Defaults::default()
                },
            ),
            (
                "--param",
                Defaults {
                    params: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
                    ..Defaults::default()
                },
            ),
            (
                "--cache",
                Defaults {
                    cache_time: Some(-1),
                    ..Defaults::default()
                },
            ),
        ];
        for (name, defaults) in cases {
            let error = defaults.check().expect_err(name).to_string();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
        assert!(Defaults::default().check().is_ok());
    }
}

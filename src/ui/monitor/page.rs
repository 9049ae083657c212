//! A file in the Prometheus text format while it is being written.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{engine::Durations, model::Class};

/// Names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The file while it is being written.
pub(super) struct Page<'a> {
    text: String,
    push: &'a str,
}

impl<'a> Page<'a> {
    /// An empty file whose samples all have this label `push`.
    pub(super) fn new(push: &'a str) -> Self {
        Self {
            text: String::new(),
            push,
        }
    }

    /// The whole file.
    pub(super) fn text(self) -> String {
        self.text
    }

    /// One sample for each of these classes, and none besides, so that a class is there before it first occurs.
    pub(super) fn classes(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        tasks: &BTreeMap<Class, u64>,
        classes: &[Class],
    ) {
        let labels: Vec<_> = classes
            .iter()
            .map(|class| [("class", class.name())])
            .collect();
        let samples: Vec<(Labels<'_>, String)> = labels
            .iter()
            .zip(classes)
            .map(|(labels, class)| {
                let tasks = tasks.get(class).copied().unwrap_or(0);
                (labels.as_slice(), tasks.to_string())
            })
            .collect();
        self.family(name, kind, help, &samples);
    }

    /// How long requests took, as a histogram: its buckets are cumulative.
    pub(super) fn durations(&mut self, durations: &Durations) {
        let name = "fleetpush_request_duration_seconds";
        let _ = writeln!(
            self.text,
            "# HELP {name} How long requests of the last push took, from the send to the reply or the failure.\n# TYPE {name} histogram"
        );
        let bounds: Vec<(String, u64)> = durations
            .up_to()
            .map(|(bound, requests)| (bound.as_secs_f64().to_string(), requests))
            .chain([("+Inf".to_owned(), durations.count())])
            .collect();
        for (bound, requests) in &bounds {
            let bucket = format!("{name}_bucket");
            self.sample(&bucket, &[("le", bound)], &requests.to_string());
        }
        let sum = durations.sum().as_secs_f64();
        self.sample(&format!("{name}_sum"), &[], &format!("{sum:.3}"));
        self.sample(
            &format!("{name}_count"),
            &[],
            &durations.count().to_string(),
        );
    }

    /// A gauge of one sample, which is left out when it is not known.
    pub(super) fn plain(&mut self, name: &str, help: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.gauge(name, help, &[(&[], value.to_string())]);
        }
    }

    /// A counter of one sample.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help, &[(&[], value.to_string())]);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, samples: &[(Labels<'_>, String)]) {
        self.family(name, "gauge", help, samples);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[(Labels<'_>, String)]) {
        // Text takes all that is written to it.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            self.sample(name, labels, value);
        }
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: &str) {
        let _ = write!(self.text, "{name}{{push=\"{}\"", escaped(self.push));
        for (label, text) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

/// The text of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_label_can_break_a_line_or_end_early(text in any::<String>()) {
            let escaped = escaped(&text);
            prop_assert!(!escaped.contains('\n'));
            let mut read = String::new();
            let mut characters = escaped.chars();
            while let Some(character) = characters.next() {
                prop_assert_ne!(character, '"');
                read.push(match character {
                    '\\' => match characters.next() {
                        Some('n') => '\n',
                        Some(other) => other,
                        None => return Err(TestCaseError::fail("ends in a backslash")),
                    },
                    other => other,
                });
            }
            prop_assert_eq!(read, text);
        }
    }
}

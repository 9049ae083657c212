//! A row's labels on their way to the text of a JSON object.

use super::json;

/// Labels, in the row's order. The same are used for one row after the other, so that the text grows in a place that is there already.
#[derive(Debug, Default)]
pub(super) struct Labels(String);

impl Labels {
    /// Adds a label; the caller has seen to it that names are not repeated.
    pub(super) fn push(&mut self, name: &str, text: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        json::push_string(&mut self.0, name);
        self.0.push(':');
        json::push_string(&mut self.0, text);
    }

    /// Forgets the labels of the row before.
    pub(super) fn begin(&mut self) {
        self.0.clear();
    }

    /// The JSON object, or nothing when there are no labels.
    pub(super) fn finish(&mut self) -> Option<Box<str>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0.as_str().into())
    }
}

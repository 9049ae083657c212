//! Choices that concern only how things are shown.

use super::options::words;

words!(
    /// How a push writes its summary to the standard output.
    SummaryFormat {
        /// For a person.
        Text = "text",
        /// One JSON object.
        Json = "json",
    }
);
words!(
    /// How a query writes its rows to the standard output.
    RowFormat {
        /// An aligned table for a person.
        Table = "table",
        /// CSV with a header.
        Csv = "csv",
        /// One JSON object a line.
        Jsonl = "jsonl",
        /// One JSON array of objects.
        Json = "json",
    }
);
words!(
    /// The form of a manifest that is written.
    ManifestFormat {
        /// CSV with a header.
        Csv = "csv",
        /// One JSON object a line.
        Jsonl = "jsonl",
    }
);
words!(
    /// How a push shows its progress on the standard error.
    ProgressMode {
        /// A bar on a terminal, lines elsewhere.
        Auto = "auto",
        /// A bar.
        Bar = "bar",
        /// A line every few seconds.
        Lines = "lines",
        /// Nothing.
        None = "none",
    }
);
words!(
    /// How log lines are written to the standard error.
    LogFormat {
        /// For a person.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
);

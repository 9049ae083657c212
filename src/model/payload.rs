//! What a manifest row asks for.

use std::{ops::RangeInclusive, sync::Arc};

/// What a request carries besides its devices (specification, "Request Parameters"). Absent fields are omitted from the request, never null.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payload {
    /// `productKey`.
    pub product_key: Box<str>,
    /// `data`: the wire string, for example `[{"fuwu":[{"raw1":"AA"}]}]`.
    pub data: Box<str>,
    /// `qos`, one of [`QOS`](Self::QOS); the platform takes 1 when it is absent.
    pub qos: Option<i32>,
    /// `isCache`: keep the command for a device that is offline; the platform takes false when it is absent.
    pub is_cache: Option<bool>,
    /// `cacheTime` in seconds; effective with `isCache`, the platform takes 600 when it is absent.
    pub cache_time: Option<i64>,
    /// `isCover`: overwrite data sent before; the platform takes false when it is absent.
    pub is_cover: Option<bool>,
    /// `extendPara`: the text of a JSON object.
    pub extend_para: Option<Box<str>>,
}

/// One good manifest row for one device: what becomes a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line of the manifest on which the row begins, from 1; a CSV's header is line 1.
    pub line: u64,
    /// The device key, exactly as written.
    pub device_key: Box<str>,
    /// What is to be sent to it; rows that ask for the same may share it.
    pub payload: Arc<Payload>,
    /// The row's labels: the text of a JSON object with text values, or nothing.
    pub labels: Option<Box<str>>,
}

/// A manifest row that cannot be sent, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The line of the manifest on which the row begins, from 1.
    pub line: u64,
    /// The device key of the row, when it could be read; else empty.
    pub device_key: Box<str>,
    /// Everything that is wrong with it; never empty.
    pub errors: Vec<RowError>,
}

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The column or JSON field at fault, when it is one, as the file spells it.
    pub column: Option<Box<str>>,
    /// What is wrong and what to do: lower case, no full stop.
    pub reason: Box<str>,
}

#[cfg(test)]
impl Payload {
    /// One with nothing but a product and data.
    pub(crate) fn plain(product_key: impl Into<Box<str>>, data: impl Into<Box<str>>) -> Self {
        Self {
            product_key: product_key.into(),
            data: data.into(),
            qos: None,
            is_cache: None,
            cache_time: None,
            is_cover: None,
            extend_para: None,
        }
    }
}

impl Row {
    /// The memory that it takes, about, when it shares its payload with none.
    pub fn bytes(&self) -> usize {
        let labels = self.labels.as_deref().map_or(0, str::len);
        self.payload.bytes() + self.device_key.len() + labels
    }
}

impl Payload {
    /// The memory that it takes, about.
    pub fn bytes(&self) -> usize {
        let extend_para = self.extend_para.as_deref().map_or(0, str::len);
        self.data.len() + self.product_key.len() + extend_para
    }

    /// The levels that `qos` may have. The specification only says that it is a whole number; these are all that MQTT, from which the
    /// word comes, knows, and anything else is taken for a slip.
    pub const QOS: RangeInclusive<i32> = 0..=2;

    /// The beginning of its data, for a message.
    pub(crate) fn shortened_data(&self) -> String {
        const MOST: usize = 60;
        match self.data.char_indices().nth(MOST) {
            Some((end, _)) => format!("{}…", &self.data[..end]),
            None => self.data.to_string(),
        }
    }

    /// What it is, for a message: `[{"fuwu":[{"raw1":"AA"}]}] of product PK0001`.
    pub(crate) fn words(&self) -> String {
        format!("{} of product {}", self.shortened_data(), self.product_key)
    }
}

impl BadRow {
    /// What is wrong, in one line without the line's number.
    pub fn reason(&self) -> String {
        let errors: Vec<_> = self.errors.iter().map(RowError::to_string).collect();
        errors.join("; ")
    }
}

impl std::fmt::Display for BadRow {
    /// `line 7, column qos: …; column data: …`, or without columns.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        for (place, error) in self.errors.iter().enumerate() {
            let separator = match (place, &error.column) {
                (0, Some(_)) => ", ",
                (0, None) => ": ",
                _ => "; ",
            };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for RowError {
    /// `column qos: …`, or without the column.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "column {column}: ")?;
        }
        write!(f, "{}", self.reason)
    }
}

//! The names that columns and JSON fields may have, and the ones that look like a slip of the pen.

use std::collections::HashSet;

use strsim::damerau_levenshtein;

/// A column that fleetpush gives a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    DeviceKey,
    ProductKey,
    Data,
    Service,
    Qos,
    IsCache,
    CacheTime,
    IsCover,
    ExtendPara,
    /// JSONL only: several device keys.
    Devices,
    /// JSONL only: the service's parameters.
    Params,
    /// JSONL only: labels.
    Labels,
}

impl Field {
    /// Every field; its place here is its discriminant.
    pub(super) const ALL: [Self; 12] = [
        Self::DeviceKey,
        Self::ProductKey,
        Self::Data,
        Self::Service,
        Self::Qos,
        Self::IsCache,
        Self::CacheTime,
        Self::IsCover,
        Self::ExtendPara,
        Self::Devices,
        Self::Params,
        Self::Labels,
    ];

    /// The spellings: `snake_case` first, then `camelCase`.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::DeviceKey => ["device_key", "deviceKey"],
            Self::ProductKey => ["product_key", "productKey"],
            Self::Data => ["data"; 2],
            Self::Service => ["service"; 2],
            Self::Qos => ["qos"; 2],
            Self::IsCache => ["is_cache", "isCache"],
            Self::CacheTime => ["cache_time", "cacheTime"],
            Self::IsCover => ["is_cover", "isCover"],
            Self::ExtendPara => ["extend_para", "extendPara"],
            Self::Devices => ["devices"; 2],
            Self::Params => ["params"; 2],
            Self::Labels => ["labels"; 2],
        }
    }

    /// The `snake_case` name.
    pub(super) fn name(self) -> &'static str {
        self.names()[0]
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Column<'a> {
    /// One of ours.
    Known(Field),
    /// `param.<code>`: a parameter of the service.
    Param(&'a str),
    /// Any other name, or `label.<name>`: kept with the task.
    Label(&'a str),
}

/// Other words for a known column: not accepted, because they might be labels, but not passed over either.
const SYNONYMS: [(&str, &str); 6] = [
    ("device", "device_key"),
    ("cache", "is_cache"),
    ("cover", "is_cover"),
    ("param", "param.<code>"),
    ("parameters", "param.<code>"),
    ("label", "label.<name>"),
];

/// Everyday labels that happen to be one letter away from a known name.
const EVERYDAY: [&str; 1] = ["date"];

/// What `name` stands for; the error says what it may have been meant to be, and the ways out.
pub(super) fn classify(name: &str) -> Result<Column<'_>, String> {
    for field in Field::ALL {
        if field.names().contains(&name) {
            return Ok(Column::Known(field));
        }
    }
    match name.split_once('.') {
        Some(("param", "")) => {
            return Err(
                "a parameter's code is missing after `param.`; add it, such as `param.mode`".into(),
            );
        }
        Some(("label", "")) => {
            return Err(
                "a label's name is missing after `label.`; add it, such as `label.site`".into(),
            );
        }
        Some(("param", code)) => return Ok(Column::Param(code)),
        Some(("label", label)) => return Ok(Column::Label(label)),
        _ => {}
    }
    match near(name) {
        Some(meant) => Err(format!(
            "did you mean `{meant}`? if it is a label, call it `label.{name}`"
        )),
        None => Ok(Column::Label(name)),
    }
}

/// Tells what names stand for and remembers labels, since to tell that a name is no near miss takes longer than to read its line.
#[derive(Debug, Default)]
pub(super) struct Classifier {
    labels: HashSet<Box<str>>,
}

impl Classifier {
    /// More names than a manifest that is one has; names that differ in every line must not fill the memory.
    const CAPACITY: usize = 1000;

    /// The labels that are remembered, none of which has a prefix.
    pub(super) fn labels(&self) -> Vec<Box<str>> {
        self.labels.iter().cloned().collect()
    }

    /// [`classify`].
    pub(super) fn classify<'a>(&mut self, name: &'a str) -> Result<Column<'a>, String> {
        if self.labels.contains(name) {
            return Ok(Column::Label(name));
        }
        let column = classify(name)?;
        if column == Column::Label(name) && self.labels.len() < Self::CAPACITY {
            self.labels.insert(name.into());
        }
        Ok(column)
    }
}

/// The name that `name` is suspiciously like.
fn near(name: &str) -> Option<String> {
    if let Some(meant) = near_prefix(name) {
        return Some(meant);
    }
    let plain = plain(name);
    if EVERYDAY.contains(&plain.as_str()) {
        return None;
    }
    if let Some((_, meant)) = SYNONYMS.iter().find(|(word, _)| *word == plain) {
        return Some((*meant).into());
    }
    Field::ALL
        .into_iter()
        .map(|field| (field, field.name().replace('_', "")))
        .filter(|(_, known)| {
            // One slip in a short word makes another word too easily, so its first letter has to be right.
            let slips = if known.len() >= 9 { 2 } else { 1 };
            damerau_levenshtein(&plain, known) <= slips
                && (known.len() > 3 || plain.as_bytes().first() == known.as_bytes().first())
        })
        .min_by_key(|(_, known)| damerau_levenshtein(&plain, known))
        .map(|(field, _)| field.name().into())
}

/// `params.mode`, `Label.site`, `param_mode`: a prefix that is not quite one of ours.
fn near_prefix(name: &str) -> Option<String> {
    let at = name.find(|c: char| !c.is_alphanumeric())?;
    let (head, rest) = (name[..at].to_lowercase(), &name[at..]);
    let mut rest_chars = rest.chars();
    let separator = rest_chars.next()?;
    let slips = match separator {
        '.' => 1,
        '_' | '-' | ' ' | ':' => 0,
        _ => return None,
    };
    let like = |words: &[&str]| {
        words
            .iter()
            .any(|word| damerau_levenshtein(&head, word) <= slips)
    };
    let prefix = if like(&["param", "params", "parameter", "parameters"]) {
        "param"
    } else if like(&["label", "labels"]) {
        "label"
    } else {
        return None;
    };
    Some(format!("{prefix}.{}", rest_chars.as_str()))
}

/// The name without case, separators and blanks, in which spellings of one name agree.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_under_its_discriminant() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place);
        }
    }

    #[test]
    fn both_spellings_of_every_field_are_known() {
        for field in Field::ALL {
            for name in field.names() {
                assert_eq!(classify(name), Ok(Column::Known(field)), "{name}");
            }
        }
    }

    #[test]
    fn prefixes_make_parameters_and_labels() {
        assert_eq!(classify("param.mode"), Ok(Column::Param("mode")));
        assert_eq!(classify("param.a.b"), Ok(Column::Param("a.b")));
        assert_eq!(
            classify("label.device_key"),
            Ok(Column::Label("device_key"))
        );
        assert_eq!(classify("label.devicekey"), Ok(Column::Label("devicekey")));
        assert!(classify("param.").is_err());
        assert!(classify("label.").is_err());
    }

    #[test]
    fn other_names_are_labels() {
        for name in [
            "site", "floor", "note", "model", "date", "imei", "level", "pos", "Gebäude", "zone.id",
            "state", "address", "firmware", "group", "tag", "customer", "product", "🏠", "DATE",
        ] {
            assert_eq!(classify(name), Ok(Column::Label(name)), "{name}");
        }
    }

    #[test]
    fn a_near_miss_offers_both_ways_out() {
        assert_eq!(
            classify("devicekey"),
            Err("did you mean `device_key`? if it is a label, call it `label.devicekey`".into())
        );
        for (name, meant) in [
            ("DeviceKey", "device_key"),
            ("device-key", "device_key"),
            ("Device Key", "device_key"),
            ("DEVICE_KEY", "device_key"),
            ("Device_Key", "device_key"),
            ("devcie_key", "device_key"),
            ("device_keys", "device_key"),
            ("device", "device_key"),
            ("productkey", "product_key"),
            ("prodcut_key", "product_key"),
            ("Data", "data"),
            ("dta", "data"),
            ("QoS", "qos"),
            ("qoss", "qos"),
            ("services", "service"),
            ("cache", "is_cache"),
            ("iscache", "is_cache"),
            ("cachetime", "cache_time"),
            ("Is Cover", "is_cover"),
            ("extend_param", "extend_para"),
            ("Params", "params"),
            ("param", "param.<code>"),
            ("params.mode", "param.mode"),
            ("parm.mode", "param.mode"),
            ("Param.mode", "param.mode"),
            ("param_mode", "param.mode"),
            ("Label.site", "label.site"),
            ("labels.site", "label.site"),
        ] {
            let reason = classify(name).expect_err(name);
            assert!(
                reason.starts_with(&format!("did you mean `{meant}`?")),
                "{name}: {reason}"
            );
        }
    }
}

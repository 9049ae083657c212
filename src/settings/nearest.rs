//! What somebody may have meant by a name that is not known.

/// Names less alike than this (Jaro-Winkler, 0 to 1) are not worth a suggestion.
const ALIKE: f64 = 0.8;

/// `; did you mean …?` with the nearest known name, or nothing when none is near.
pub(crate) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| format!("; did you mean {name}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_nearest_name_only_when_it_is_near() {
        let known = ["rate", "region", "max-attempts"];
        assert_eq!(did_you_mean("raet", known), "; did you mean rate?");
        assert_eq!(
            did_you_mean("max_attempts", known),
            "; did you mean max-attempts?"
        );
        assert_eq!(did_you_mean("zebra", known), "");
    }
}

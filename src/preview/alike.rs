//! Whether one of two names may be a slip for the other.

/// Names shorter than this, in characters, are alike only when their case differs: `lo` and `no` are a letter apart and nothing else.
const SHORTEST: usize = 3;

/// How two names resemble each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alike {
    /// They differ in nothing but their case.
    Case,
    /// One letter lacks, is one too many, is another, or has changed places with its neighbour.
    Letter,
}

/// How they resemble each other, if they do. Numbered names, such as `limit1` and `limit2`, are a series and no slip.
pub(super) fn alike(one: &str, other: &str) -> Option<Alike> {
    if one == other {
        return None;
    }
    if one.to_lowercase() == other.to_lowercase() {
        return Some(Alike::Case);
    }
    let (one_length, other_length) = (one.chars().count(), other.chars().count());
    if one_length.min(other_length) < SHORTEST || one_length.abs_diff(other_length) > 1 {
        return None;
    }
    let letters = |name: &str| -> String {
        name.chars()
            .filter(|character| !character.is_numeric())
            .collect()
    };
    if letters(one) == letters(other) {
        return None;
    }
    (strsim::osa_distance(&one.to_lowercase(), &other.to_lowercase()) == 1).then_some(Alike::Letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_one_letter_or_the_case() {
        for (one, other, expected) in [
            ("setmode", "setMode", Some(Alike::Case)),
            ("hi", "HI", Some(Alike::Case)),
            ("setMod", "setMode", Some(Alike::Letter)),
            ("sedMode", "setMode", Some(Alike::Letter)),
            ("steMode", "setMode", Some(Alike::Letter)),
            ("target", "tagret", Some(Alike::Letter)),
            ("setMode", "setMode", None),
            ("hi", "lo", None),
            ("lo", "low", None),
            ("limit1", "limit2", None),
            ("limit", "limit2", None),
            ("setMode", "getRate", None),
        ] {
            assert_eq!(alike(one, other), expected, "{one} {other}");
            assert_eq!(alike(other, one), expected, "{other} {one}");
        }
    }
}

//! Which manifest a run belongs to.

use crate::store::RunRow;

/// Where a run's manifest came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin<'r> {
    /// A file of this path.
    File(&'r str),
    /// A stream: all that its runs share is their name.
    Stream(&'r str),
}

impl<'r> Origin<'r> {
    /// The origin of a run of this name, whose manifest was typed so.
    pub(crate) fn of(
        name: &'r str,
        path: Option<&'r str>,
        typed: &'r str,
        is_stream: bool,
    ) -> Self {
        match path {
            Some(path) => Self::File(path),
            // Staged before paths were kept: all that is known of the file is how it was typed.
            None if !is_stream => Self::File(typed),
            None => Self::Stream(base(name)),
        }
    }
}

/// Whether two runs are of the same manifest, however its file was typed.
pub(crate) fn is_same(one: &RunRow, other: &RunRow) -> bool {
    Told::of(one).is_same_as(Told::of(other))
}

/// What is told of a run's manifest.
#[derive(Debug, Clone, Copy)]
struct Told<'r> {
    name: &'r str,
    path: Option<&'r str>,
    typed: &'r str,
    is_stream: bool,
}

impl<'r> Told<'r> {
    fn of(run: &'r RunRow) -> Self {
        Self {
            name: &run.name,
            path: run.manifest_path.as_deref(),
            typed: &run.manifest,
            is_stream: run.is_stream,
        }
    }

    /// Where only one of the two has a path, both go by how they were typed.
    fn is_same_as(self, other: Self) -> bool {
        let both = self.path.is_some() && other.path.is_some();
        self.origin(both) == other.origin(both)
    }

    fn origin(self, by_path: bool) -> Origin<'r> {
        let path = self.path.filter(|_| by_path);
        Origin::of(self.name, path, self.typed, self.is_stream)
    }
}

/// The name that the first of several runs was given: they are NAME, NAME-2, NAME-3, …
fn base(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((base, number)) if number.parse::<u32>().is_ok_and(|number| number > 1) => base,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_path_and_a_stream_its_name() {
        let file = |typed, path| Origin::of("r", path, typed, false);
        assert_eq!(
            file("night.csv", Some("/data/night.csv")),
            file("./night.csv", Some("/data/night.csv"))
        );
        assert_ne!(
            file("night.csv", Some("/data/night.csv")),
            file("night.csv", Some("/lab/night.csv"))
        );
        assert_eq!(file("night.csv", None), Origin::File("night.csv"));
        let stream = |name| Origin::of(name, None, "standard input", true);
        assert_eq!(stream("night"), stream("night-3"));
        assert_ne!(stream("night"), stream("lab"));
    }

    #[test]
    fn two_files_are_compared_by_what_is_known_of_both() {
        let file = |typed, path| Told {
            name: "r",
            path,
            typed,
            is_stream: false,
        };
        let night = file("night.csv", Some("/data/night.csv"));
        for (other, expected) in [
            (file("./night.csv", Some("/data/night.csv")), true),
            (file("night.csv", Some("/lab/night.csv")), false),
            (file("night.csv", None), true),
            (file("./night.csv", None), false),
        ] {
            assert_eq!(night.is_same_as(other), expected, "{other:?}");
            assert_eq!(other.is_same_as(night), expected, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_number_of_a_run_belongs_to_the_name() {
        for (name, expected) in [
            ("lab-2", "lab"),
            ("lab-1", "lab-1"),
            ("lab-x", "lab-x"),
            ("lab", "lab"),
            ("a-2-3", "a-2"),
        ] {
            assert_eq!(base(name), expected);
        }
    }
}

//! The platform's limit of devices in one request, which is not documented. It is assumed after two rejected requests, and never below a
//! size that has passed.

use crate::model::Sizes;

/// How often both halves of a refused request must have passed.
const ENOUGH: u32 = 2;

/// A request of so many devices was answered, or refused as a whole; `halves` are the size of the request that it is one half of, and of
/// that one's larger half, when both have now passed.
pub(super) fn answered(
    sizes: Sizes,
    devices: u32,
    is_passed: bool,
    halves: Option<(u32, u32)>,
) -> Sizes {
    let sizes = if is_passed {
        passed(sizes, devices)
    } else {
        sizes
    };
    halves.map_or(sizes, |(whole, half)| halves_passed(sizes, whole, half))
}

/// A request of so many devices has passed: a lower limit is refuted.
fn passed(sizes: Sizes, devices: u32) -> Sizes {
    let refuted = sizes.limit.is_some_and(|limit| limit < devices);
    Sizes {
        passed: sizes.passed.max(devices),
        limit: sizes.limit.filter(|_| !refuted),
        hints: if devices > sizes.passed {
            0
        } else {
            sizes.hints
        },
    }
}

/// Both halves of a request of `whole` devices, which was rejected, have passed; the larger one had `half`.
fn halves_passed(sizes: Sizes, whole: u32, half: u32) -> Sizes {
    let is_news = sizes.limit.is_none_or(|limit| half < limit);
    if whole <= sizes.passed || !is_news {
        return sizes;
    }
    if sizes.hints + 1 < ENOUGH {
        return Sizes {
            hints: sizes.hints + 1,
            ..sizes
        };
    }
    Sizes {
        limit: Some(half),
        hints: 0,
        ..sizes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_refusal_is_no_limit_and_two_are() {
        let once = halves_passed(passed(Sizes::default(), 50), 100, 50);
        assert_eq!(once.limit, None);
        assert_eq!(halves_passed(once, 100, 50).limit, Some(50));
    }

    #[test]
    fn what_has_passed_is_no_limit() {
        let mut sizes = passed(Sizes::default(), 100);
        for _ in 0..10 {
            sizes = halves_passed(sizes, 100, 50);
            sizes = halves_passed(sizes, 2, 1);
        }
        assert_eq!(sizes.limit, None);
        // It was under way when the limit was found.
        let limited = Sizes {
            limit: Some(50),
            ..Sizes::default()
        };
        assert_eq!(passed(limited, 100).limit, None);
        assert_eq!(passed(limited, 50).limit, Some(50));
    }

    #[test]
    fn only_a_lower_limit_is_news_and_only_what_passed_refutes_one() {
        let found = |limit| Sizes {
            passed: 20,
            limit: Some(limit),
            hints: 1,
        };
        let lower = Sizes {
            hints: 0,
            ..found(40)
        };
        assert_eq!(halves_passed(found(50), 80, 40), lower);
        for half in [50, 60] {
            assert_eq!(halves_passed(found(50), 100, half), found(50), "{half}");
        }
        assert_eq!(passed(found(50), 49).limit, Some(50));
        assert_eq!(passed(found(50), 51).limit, None);
        // A size that has passed again is no reason to doubt what hints at a limit; a larger one is.
        assert_eq!(passed(found(50), 20).hints, 1);
        assert_eq!(passed(found(50), 21).hints, 0);
    }

    proptest! {
        /// A platform with a limit, and requests that are rejected for their size or now and then for nothing: what is found is a size
        /// that passes, and nothing is found when no size is too large.
        #[test]
        fn what_is_found_passes(limit in prop::option::of(1_u32..200), chunk in 1_u32..200, unlucky in prop::collection::vec(any::<bool>(), 1..200)) {
            let mut sizes = Sizes::default();
            let fits = |devices| limit.is_none_or(|limit| devices <= limit);
            let mut ever_passed = false;
            for unlucky in unlucky {
                let mut queue = vec![(sizes.limit.map_or(chunk, |found| found.min(chunk)), unlucky)];
                while let Some((devices, unlucky)) = queue.pop() {
                    if fits(devices) && !unlucky {
                        sizes = passed(sizes, devices);
                        ever_passed |= devices == chunk;
                    } else if devices > 1 {
                        let half = devices.div_ceil(2);
                        if fits(half) {
                            sizes = passed(sizes, half);
                            sizes = halves_passed(sizes, devices, half);
                        } else {
                            queue.extend([(half, false), (devices - half, false)]);
                        }
                    }
                }
                prop_assert!(sizes.limit.is_none_or(fits));
                prop_assert!(sizes.limit.is_none() || !ever_passed);
            }
        }
    }
}

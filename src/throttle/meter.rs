//! What the platform counts: a record of what requests came to, and the meter that would have answered them so.
//!
//! Whatever limits a rate has a meter: a bucket that drains evenly (the conformance test of a token bucket or of a queue), or a count of
//! the requests in a window. It takes a request as long as it does not stand higher than the burst. So of a meter that is the right one,
//! all readings at refusals are the same, and none at an acceptance is higher; of a wrong one they differ. Nothing has to be known of
//! when the platform was at rest, and pauses count as the time that they are.

mod record;

pub(super) use record::Record;
use record::{Entry, Mark};

/// Windows that platforms have, in seconds; how many phases of each are tried; and by which part of the steps between these around the
/// best.
const WINDOWS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0];
const PHASES: u32 = 20;
const FINER: u32 = 8;
/// Rates of a bucket that are tried: from such a share of what was taken by the clock, in steps of such a ratio, and then in fine ones
/// around the best.
const LOWEST: f64 = 0.4;
const HIGHEST: f64 = 10_000.0;
const COARSE: f64 = 1.08;
const FINE: f64 = 1.005;
/// What a larger burst costs for each e-fold, in requests that are explained wrongly; a window, a window whose phase has to fit, and
/// refused requests that count.
const BURST_COSTS: f64 = 0.1;
const WINDOW_COSTS: f64 = 0.5;
const PHASE_COSTS: f64 = 0.5;
const COUNTED_COSTS: f64 = 0.3;
/// So much worse an explanation may be that promises more; and of two bunches, which some bucket always explains by its rate and its burst,
/// so that a window whose phase fits has to be tried before one.
const PROMISING: f64 = 1.0;
const PROMISING_OF_TWO: f64 = 1.1;
/// How high a bucket may have stood when it began to be followed.
const STANDS: [f64; 5] = [1.0, 4.0, 10.0, 25.0, 60.0];
/// The least requests in a window.
const LEAST_IN_WINDOW: f64 = 4.0;
/// As good an explanation as the best is one that is so little worse.
const AS_GOOD: f64 = 0.3;
/// So many bunches of refusals are explained.
const BUNCHES: usize = 6;

/// How the platform counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meter {
    /// Each request adds one; so many drain a second.
    Bucket { rate: f64 },
    /// The requests of the last so many seconds.
    Sliding { seconds: f64 },
    /// The requests since the last whole multiple of so many seconds, and some.
    Fixed { seconds: f64, phase: f64 },
}

/// A meter that explains the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    pub(super) meter: Meter,
    /// Whether refused requests count.
    pub(super) counts_refused: bool,
    /// Requests a second, and between which bounds they explain as much.
    pub(super) rate: f64,
    pub(super) between: (f64, f64),
    /// The highest reading at which a request is taken.
    pub(super) burst: f64,
    /// So many requests are explained wrongly.
    pub(super) misfit: f64,
    /// So many bunches of refusals were explained.
    pub(super) bunches: usize,
}

impl Fit {
    /// This one, unless it is worse than the other one by so much.
    fn or(self, other: Self, lead: f64) -> Self {
        if self.misfit < other.misfit + lead {
            self
        } else {
            other
        }
    }

    fn is_much_worse(&self, best: &Self) -> bool {
        self.misfit > best.misfit + PROMISING
    }
}

/// How much worse an explanation of so many bunches may be that promises such a rate, where another one promises the other.
fn lead(rate: f64, other: f64, bunches: usize) -> f64 {
    if rate <= other {
        0.0
    } else if bunches <= 2 {
        PROMISING_OF_TWO
    } else {
        PROMISING
    }
}

fn steps(from: f64, to: f64, ratio: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(from), move |rate| Some(rate * ratio))
        .take_while(move |rate| *rate < to)
}

fn least(fits: &[Fit], least: f64) -> f64 {
    fits.iter().map(|fit| fit.misfit).fold(least, f64::min)
}

impl Record {
    /// Follows a meter along the record. Shows each entry that is to be explained, with the reading before it; gives the last reading.
    fn follow(&self, meter: Meter, counts_refused: bool, mut show: impl FnMut(&Entry, f64)) -> f64 {
        let counted = |entry: &Entry| {
            if counts_refused {
                entry.taken + entry.refused
            } else {
                entry.taken
            }
        };
        let mut reading = 0.0_f64;
        let (mut then, mut oldest) = (0.0_f64, 0);
        let mut begun = self.since <= 0.0;
        // A bucket needs to know nothing of what was before, and a window no more than what it spans.
        let spans = match meter {
            Meter::Bucket { .. } => 0.0,
            Meter::Sliding { seconds } | Meter::Fixed { seconds, .. } => seconds,
        };
        let from = self
            .entries
            .partition_point(|entry| entry.at < self.since - spans);
        oldest += from;
        for entry in self.entries.range(from..) {
            match meter {
                Meter::Bucket { rate } => {
                    reading = (reading - (entry.at - then) * rate).max(0.0);
                    then = entry.at;
                }
                Meter::Fixed { seconds, phase } => {
                    let window = ((entry.at - phase) / seconds).floor();
                    if (window - then).abs() > 0.5 {
                        (reading, then) = (0.0, window);
                    }
                }
                Meter::Sliding { seconds } => {
                    while let Some(old) = self.entries.get(oldest)
                        && old.at + seconds <= entry.at
                    {
                        reading -= counted(old);
                        oldest += 1;
                    }
                }
            }
            if !begun && entry.at >= self.since {
                begun = true;
                if matches!(meter, Meter::Bucket { .. }) {
                    reading = self.stood;
                }
            }
            if begun {
                show(entry, reading);
            }
            reading += counted(entry);
        }
        reading
    }

    /// How many requests a meter explains wrongly, with the burst that is best for it.
    fn explain(&self, meter: Meter, counts_refused: bool) -> Fit {
        // The highest reading of each spell that ended in a refusal and of the present one, and the readings at refusals.
        let (mut highest, mut at_refusals) = (Vec::with_capacity(16), Vec::with_capacity(16));
        let (mut bunches, mut high) = (0, 0.0_f64);
        self.follow(meter, counts_refused, |entry, reading| {
            if entry.mark == Mark::First {
                bunches += 1;
                highest.push(std::mem::take(&mut high));
            }
            if entry.mark != Mark::None {
                at_refusals.push(reading);
            } else if entry.taken > 0.0 {
                high = high.max(reading + entry.taken);
            }
        });
        highest.push(high);
        let costs = match meter {
            Meter::Bucket { .. } => 0.0,
            Meter::Sliding { .. } => WINDOW_COSTS,
            Meter::Fixed { .. } => WINDOW_COSTS + PHASE_COSTS,
        } + if counts_refused { COUNTED_COSTS } else { 0.0 };
        let (misfit, burst) = highest
            .iter()
            .copied()
            .chain(at_refusals.iter().map(|reading| reading + 1.0))
            .map(|burst| {
                let burst = burst.max(1.0);
                let taken: f64 = highest.iter().map(|high| (high - burst).max(0.0)).sum();
                let refused: f64 = at_refusals
                    .iter()
                    .map(|reading| (burst - 1.0 - reading).max(0.0))
                    .sum();
                (taken + refused + BURST_COSTS * burst.ln() + costs, burst)
            })
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .unwrap_or((f64::INFINITY, 1.0));
        let rate = match meter {
            Meter::Bucket { rate } => rate,
            Meter::Sliding { seconds } | Meter::Fixed { seconds, .. } => burst / seconds,
        };
        Fit {
            meter,
            counts_refused,
            rate,
            between: (rate, rate),
            burst,
            misfit,
            bunches,
        }
    }

    /// The share of requests that were taken at a reading at which others were refused, as a mean of these: nothing for the right meter,
    /// and a half for refusals that have nothing to do with one.
    pub(super) fn doubt(&self, fit: &Fit) -> f64 {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        self.follow(fit.meter, fit.counts_refused, |entry, reading| {
            if entry.mark == Mark::First {
                refused.push(reading);
            } else if entry.taken > 0.0 {
                taken.push(reading);
            }
        });
        let higher: usize = refused
            .iter()
            .map(|at| taken.iter().filter(|reading| *reading >= at).count())
            .sum();
        higher as f64 / (taken.len() * refused.len()).max(1) as f64
    }

    /// The meter that explains the record best, of those that take no more than `bound` a second.
    pub(super) fn fit(&mut self, bound: f64) -> Option<Fit> {
        let bunches = self.bunches();
        if bunches.len() > BUNCHES {
            self.since = bunches[bunches.len() - BUNCHES];
        }
        let best = self.best(bound)?;
        // Between refusals that are few and far apart many meters fit; the usual one is as good as these.
        let Some(usual) = self.usual else {
            return Some(best);
        };
        self.stood = usual.burst;
        let again = self.explain(usual.meter, usual.counts_refused);
        if again.is_much_worse(&best) {
            return Some(best);
        }
        Some(Fit {
            misfit: again.misfit,
            bunches: again.bunches,
            ..usual
        })
    }

    fn best(&mut self, bound: f64) -> Option<Fit> {
        let top = bound.min(HIGHEST);
        let (taken, seconds) = self.taken_and_seconds();
        let bottom = LOWEST * taken.max(1.0) / seconds.max(0.1);
        if self.since > 0.0 {
            let stands = STANDS.map(|stood| {
                self.stood = stood;
                let fits = self.coarse_buckets((bottom, top), false);
                (least(&fits, f64::INFINITY), stood)
            });
            let best = stands
                .into_iter()
                .min_by(|one, other| one.0.total_cmp(&other.0));
            self.stood = best.map_or(0.0, |best| best.1);
        }
        let best = self.bucket((bottom, top), false)?;
        if best.bunches < 2 {
            return Some(best);
        }
        let counted = self.bucket((bottom, top), true)?;
        let best = counted.or(best, 0.0);
        // Of two explanations the one that promises more is tried first.
        Some(self.window((bottom, top)).map_or(best, |fit| {
            fit.or(best, lead(fit.rate, best.rate, best.bunches))
        }))
    }

    /// The best window that takes between so many a second.
    fn window(&self, (bottom, top): (f64, f64)) -> Option<Fit> {
        let is_one = |fit: &Fit| fit.burst >= LEAST_IN_WINDOW && (bottom..top).contains(&fit.rate);
        let least = |one: &Fit, other: &Fit| one.misfit.total_cmp(&other.misfit);
        let best_of = |seconds: f64| {
            let at = |phase| self.explain(Meter::Fixed { seconds, phase }, false);
            let coarse = (0..PHASES).map(|nth| at(seconds * f64::from(nth) / f64::from(PHASES)));
            let coarse = coarse.filter(is_one).min_by(least);
            let fine = coarse.and_then(|coarse| {
                let Meter::Fixed { phase, .. } = coarse.meter else {
                    return None;
                };
                let step = seconds / f64::from(PHASES * FINER);
                (1..FINER)
                    .flat_map(|nth| [-f64::from(nth), f64::from(nth)])
                    .map(|steps| at(phase + steps * step))
                    .filter(is_one)
                    .min_by(least)
            });
            let sliding =
                [false, true].map(|counts| self.explain(Meter::Sliding { seconds }, counts));
            let sliding = sliding.into_iter().filter(is_one);
            coarse.into_iter().chain(fine).chain(sliding).min_by(least)
        };
        WINDOWS.into_iter().filter_map(best_of).min_by(least)
    }

    fn coarse_buckets(&self, (bottom, top): (f64, f64), counts_refused: bool) -> Vec<Fit> {
        steps(bottom.min(top / COARSE), top, COARSE)
            .map(|rate| self.explain(Meter::Bucket { rate }, counts_refused))
            .collect()
    }

    fn bucket(&self, (bottom, top): (f64, f64), counts_refused: bool) -> Option<Fit> {
        let explain = |rate: f64| self.explain(Meter::Bucket { rate }, counts_refused);
        let coarse = self.coarse_buckets((bottom, top), counts_refused);
        let least = least(&coarse, f64::INFINITY);
        let best = coarse.iter().position(|fit| fit.misfit <= least)?;
        // Few refusals are often explained as well by rates that lie far apart.
        let as_good = |fit: &&Fit| fit.misfit <= least + AS_GOOD;
        let higher = coarse[best..].iter().take_while(as_good).last()?;
        let around = COARSE * COARSE;
        let from = coarse[best].rate / around;
        let fine: Vec<Fit> = steps(from, (coarse[best].rate * around).min(top), FINE)
            .map(explain)
            .collect();
        let least = self::least(&fine, least);
        let mut good = fine.iter().filter(|fit| fit.misfit <= least + AS_GOOD);
        let lowest = good.next().unwrap_or(&coarse[best]).rate;
        let highest = good.next_back().map_or(lowest, |fit| fit.rate);
        let highest = if higher.misfit <= least + AS_GOOD {
            highest.max(higher.rate)
        } else {
            highest
        };
        let middle = explain((lowest * highest).sqrt());
        Some(Fit {
            between: (lowest, highest),
            ..middle
        })
    }

    /// The reading of a meter after the last request.
    pub(super) fn reading(&self, fit: &Fit) -> f64 {
        self.follow(fit.meter, fit.counts_refused, |_, _| {})
    }
}

#[cfg(test)]
mod fit_tests;
#[cfg(test)]
mod tests;

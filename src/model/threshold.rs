//! Thresholds: how many of a run's ended tasks may come to something, before the run is aborted or is no success any more.
//!
//! `--abort-if` and `--tolerate` share the words: what is counted, and a share or a number of tasks.

use std::{fmt::Display, str::FromStr};

use super::{
    Class, CountedDelivery, DeliveryTolerance, OptionError, Percent, TaskState, options::words,
};

words!(
    /// What ended tasks are counted as. Classes that leave a task pending, as an outage does, are not among them.
    Counted {
        /// Failed, whatever the class, but for offline and blocked: they are no sign of a bad payload. Nor are invalid rows, which were
        /// recorded because `--skip-invalid` asks to go on without them.
        Failed = "failed",
        /// Given up since the device's message frequency is limited.
        Frequency = "frequency",
        /// Given up since the device's message quota is used up.
        Quota = "quota",
        /// Given up since the platform failed in passing again and again.
        Transient = "transient",
        /// Ended in doubt.
        InDoubt = "in_doubt",
        /// Failed since the device is offline.
        Offline = "offline",
        /// Refused by the platform.
        Rejected = "rejected",
        /// Not sent, because an earlier task of the device did not succeed.
        Blocked = "blocked",
        /// Not sent, because the manifest row is wrong.
        Invalid = "invalid",
    }
);

impl Counted {
    /// The class that is counted; none when several are.
    fn class(self) -> Option<Class> {
        match self {
            Self::Failed => None,
            Self::Frequency => Some(Class::Frequency),
            Self::Quota => Some(Class::Quota),
            Self::Transient => Some(Class::Transient),
            Self::InDoubt => Some(Class::InDoubt),
            Self::Offline => Some(Class::Offline),
            Self::Rejected => Some(Class::Rejected),
            Self::Blocked => Some(Class::Blocked),
            Self::Invalid => Some(Class::Invalid),
        }
    }

    /// Whether a task that ended like this is counted.
    pub fn counts(self, state: TaskState, class: Option<Class>) -> bool {
        match self.class() {
            None => {
                state == TaskState::Failed
                    && !matches!(
                        class,
                        Some(Class::Offline | Class::Blocked | Class::Invalid)
                    )
            }
            Some(counted) => {
                matches!(state, TaskState::Failed | TaskState::InDoubt) && class == Some(counted)
            }
        }
    }

    /// Whether a task that ended like this is of the whole that a share is taken of: skipped tasks have not been pushed at all, nor
    /// have invalid ones, unless it is them that are counted.
    pub fn is_of_the_whole(self, state: TaskState, class: Option<Class>) -> bool {
        state != TaskState::Skipped && (class != Some(Class::Invalid) || self == Self::Invalid)
    }

    /// What is said of tasks that are counted.
    pub fn words(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Frequency => "were throttled too long (frequency)",
            Self::Quota => "were throttled too long (quota)",
            Self::Transient => "failed temporarily too often (transient)",
            Self::InDoubt => "are in doubt",
            Self::Offline => "are offline",
            Self::Rejected => "were rejected",
            Self::Blocked => "are blocked",
            Self::Invalid => "are invalid",
        }
    }
}

/// What a count is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A share of the tasks that have ended.
    Share(Percent),
    Tasks(u64),
}

impl FromStr for Bound {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.ends_with('%') {
            return text.parse().map(Self::Share);
        }
        text.parse().map(Self::Tasks).map_err(|_| {
            OptionError(format!(
                "{text:?} is neither a share nor a number of devices: write for example 10% or 50"
            ))
        })
    }
}

impl Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Share(share) => share.fmt(f),
            Self::Tasks(tasks) => tasks.fmt(f),
        }
    }
}

/// One condition of `--abort-if`: `offline>30%,min=1000`, or `rejected>50`. What is counted is tasks, or accepted commands
/// (`unconfirmed>10%`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<C = Counted> {
    pub counted: C,
    /// What it must not exceed.
    above: Bound,
    /// So many must have ended before a share of them is looked at; 1 for a number.
    min: u64,
}

/// What conditions count.
pub(crate) trait Countable: Copy + Display + FromStr {
    /// So many must have ended before a share of them is looked at, unless somebody says another number.
    const MIN: u64;

    /// What is counted under this word.
    fn read(word: &str) -> Result<Self, OptionError>;
}

impl Countable for Counted {
    /// Fewer ended tasks than this say little about a fleet.
    const MIN: u64 = 500;

    fn read(word: &str) -> Result<Self, OptionError> {
        word.parse()
            .map_err(|error| OptionError(format!("{word:?} cannot be counted: {error}")))
    }
}

impl Countable for CountedDelivery {
    /// Only the commands to a canary are counted, which are few.
    const MIN: u64 = 1;

    fn read(word: &str) -> Result<Self, OptionError> {
        word.parse()
    }
}

impl<C> Condition<C> {
    /// Whether `part` of `whole` are too many.
    pub fn is_met(&self, part: u64, whole: u64) -> bool {
        match self.above {
            Bound::Share(share) => whole >= self.min && share.is_exceeded_by(part, whole),
            Bound::Tasks(tasks) => part > tasks,
        }
    }

    /// The same condition for a sample of the fleet, however small.
    #[must_use]
    pub fn for_a_sample(self) -> Self {
        Self { min: 1, ..self }
    }
}

impl<C: Countable> FromStr for Condition<C> {
    type Err = OptionError;

    /// Reads parts set apart by commas: one `CLASS>BOUND`, and `min=TASKS` with a share.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXAMPLE: &str = "write for example failed>10%,min=500, or never";
        let (mut measure, mut min) = (None, None);
        for part in text.split(',').map(str::trim) {
            let repeated = if let Some((counted, above)) = split(part, '>') {
                let counted = C::read(counted)?;
                measure.replace((counted, above.parse()?)).is_some()
            } else if let Some(tasks) = part.strip_prefix("min=") {
                let tasks = tasks.trim().parse().ok().filter(|tasks| *tasks > 0);
                let tasks = tasks.ok_or_else(|| {
                    OptionError(format!(
                        "{part:?} does not say how many devices: write for example min=500"
                    ))
                })?;
                min.replace(tasks).is_some()
            } else {
                return Err(OptionError(format!(
                    "{part:?} is not a condition: {EXAMPLE}"
                )));
            };
            if repeated {
                return Err(OptionError(format!(
                    "{part:?} repeats a condition: give each one once, and set conditions apart by semicolons"
                )));
            }
        }
        let (counted, above) =
            measure.ok_or_else(|| OptionError(format!("the share is missing: {EXAMPLE}")))?;
        let min = match (above, min) {
            (Bound::Share(_), min) => min.unwrap_or(C::MIN),
            (Bound::Tasks(_), None) => 1,
            (Bound::Tasks(tasks), Some(_)) => {
                return Err(OptionError(format!(
                    "min= goes with a share, and {tasks} is a number of devices: leave it out, or write {tasks}%"
                )));
            }
        };
        Ok(Self {
            counted,
            above,
            min,
        })
    }
}

impl<C: Countable> Display for Condition<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}>{}", self.counted, self.above)?;
        match self.above {
            Bound::Share(_) if self.min == C::MIN && C::MIN == 1 => Ok(()),
            Bound::Share(_) => write!(f, ",min={}", self.min),
            Bound::Tasks(_) => Ok(()),
        }
    }
}

/// One limit of `--tolerate`: `offline<5%`, or `rejected<10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub counted: Counted,
    /// What it must stay below, above nothing.
    below: Bound,
}

impl Limit {
    /// Whether `part` of `whole` ended tasks may be. None always may.
    pub fn holds(self, part: u64, whole: u64) -> bool {
        part == 0
            || match self.below {
                Bound::Share(share) => share.is_above(part, whole),
                Bound::Tasks(tasks) => part < tasks,
            }
    }
}

impl FromStr for Limit {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXAMPLE: &str = "write for example offline<5%, or nothing";
        let (counted, below) = split(text, '<')
            .ok_or_else(|| OptionError(format!("{text:?} is not a limit: {EXAMPLE}")))?;
        let limit = Self {
            counted: <Counted as Countable>::read(counted)?,
            below: below.parse()?,
        };
        if matches!(limit.below, Bound::Tasks(0 | 1)) || limit.below == Bound::Share(Percent::ZERO)
        {
            return Err(OptionError(format!("{text:?} tolerates none: {EXAMPLE}")));
        }
        Ok(limit)
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}<{}", self.counted, self.below)
    }
}

/// When a run is aborted because too much of it goes wrong: as soon as one condition is met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbortIf {
    conditions: Vec<Condition>,
    /// What is looked at when a canary proves that its commands have arrived.
    deliveries: Vec<Condition<CountedDelivery>>,
}

impl AbortIf {
    /// The empty list, `never`.
    pub const NEVER: Self = Self {
        conditions: Vec::new(),
        deliveries: Vec::new(),
    };

    /// Each condition on tasks.
    pub fn each(&self) -> impl Iterator<Item = Condition> {
        self.conditions.iter().copied()
    }

    /// Each condition on the accepted commands of a canary.
    pub(crate) fn deliveries(&self) -> &[Condition<CountedDelivery>] {
        &self.deliveries
    }
}

impl FromStr for AbortIf {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut abort_if = Self::default();
        for item in list(text, "never")? {
            if counts_deliveries(&item) {
                abort_if.deliveries.push(item.parse()?);
            } else {
                abort_if.conditions.push(item.parse()?);
            }
        }
        Ok(abort_if)
    }
}

impl Display for AbortIf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tasks = self.conditions.iter().map(ToString::to_string);
        let deliveries = self.deliveries.iter().map(ToString::to_string);
        print_list(f, &tasks.chain(deliveries).collect::<Vec<_>>(), "never")
    }
}

/// What a complete run may have come to and still count as a success: everything that went wrong is limited, and every limit holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tolerate {
    limits: Vec<Limit>,
    /// What is tolerated of accepted commands, where they are verified.
    pub(crate) deliveries: DeliveryTolerance,
}

impl Tolerate {
    /// Nothing.
    pub const NOTHING: Self = Self {
        limits: Vec::new(),
        deliveries: DeliveryTolerance(Vec::new()),
    };

    /// Each limit of tasks.
    pub fn each(&self) -> impl Iterator<Item = Limit> {
        self.limits.iter().copied()
    }
}

impl FromStr for Tolerate {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut tolerate = Self::default();
        for item in list(text, "nothing")? {
            if counts_deliveries(&item) {
                tolerate.deliveries.0.push(item.parse()?);
            } else {
                tolerate.limits.push(item.parse()?);
            }
        }
        Ok(tolerate)
    }
}

impl Display for Tolerate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tasks = self.limits.iter().map(ToString::to_string);
        let deliveries = self.deliveries.0.iter().map(ToString::to_string);
        print_list(f, &tasks.chain(deliveries).collect::<Vec<_>>(), "nothing")
    }
}

/// Whether an item of a list counts accepted commands, and not tasks.
fn counts_deliveries(item: &str) -> bool {
    let word = item.split(['<', '>']).next().unwrap_or_default().trim();
    word.parse::<CountedDelivery>().is_ok()
}

/// The word before a sign and the bound after it.
fn split(text: &str, sign: char) -> Option<(&str, &str)> {
    text.split_once(sign)
        .map(|(counted, bound)| (counted.trim(), bound.trim()))
}

/// The items of a list that are set apart by semicolons; none when it is the word for an empty list.
fn list(text: &str, empty: &str) -> Result<Vec<String>, OptionError> {
    if text == empty {
        return Ok(Vec::new());
    }
    text.split(';')
        .map(str::trim)
        .map(|item| {
            if item == empty {
                Err(OptionError(format!(
                    "{empty} cannot be combined with conditions: remove it, or the conditions"
                )))
            } else {
                Ok(item.to_owned())
            }
        })
        .collect()
}

fn print_list<T: Display>(
    f: &mut std::fmt::Formatter<'_>,
    items: &[T],
    empty: &str,
) -> std::fmt::Result {
    if items.is_empty() {
        return f.write_str(empty);
    }
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(";")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

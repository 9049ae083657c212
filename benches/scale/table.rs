//! Medians with their spread, and the table that they are printed in.

/// What a measure came to, round by round.
#[derive(Debug, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// There is at least one round.
    pub(crate) fn new(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = rounds.into_iter().collect();
        assert!(!sorted.is_empty(), "a measure has at least one round");
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        } else {
            self.0[middle]
        }
    }

    fn least(&self) -> f64 {
        self.0[0]
    }

    fn most(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The same in another measure, such as a rate for a time.
    pub(crate) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self::new(self.0.iter().copied().map(change))
    }
}

/// What samples are in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    DevicesPerSecond,
    Microseconds,
    Mebibytes,
    Megabytes,
    BytesPerDevice,
    PercentOfACore,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Seconds if value < 1.0 => format!("{value:.3} s"),
            Self::Seconds => format!("{value:.2} s"),
            Self::DevicesPerSecond => format!("{}/s", grouped(value.round() as u64)),
            Self::Microseconds => format!("{value:.0} µs"),
            Self::Mebibytes => format!("{value:.1} MiB"),
            Self::Megabytes => format!("{value:.2} MB"),
            Self::BytesPerDevice => format!("{value:.1} B"),
            Self::PercentOfACore => format!("{value:.2} %"),
        }
    }
}

/// Where the median, or its ratio to that of the reference, is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// The ratio is no further from 1 than this.
    RatioNear(f64),
}

impl Target {
    fn words(self, unit: Unit) -> String {
        match self {
            Self::None => String::new(),
            Self::AtMost(limit) => format!("≤ {}", unit.show(limit)),
            Self::AtLeast(limit) => format!("≥ {}", unit.show(limit)),
            Self::RatioAtMost(limit) => format!("ratio ≤ {limit:.1}"),
            Self::RatioAtLeast(limit) => format!("ratio ≥ {limit:.1}"),
            Self::RatioNear(limit) => format!("ratio 1 ± {limit}"),
        }
    }

    /// Whether it is met; nothing when there is none, or no reference.
    fn is_met(self, median: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(limit) => Some(median <= limit),
            Self::AtLeast(limit) => Some(median >= limit),
            Self::RatioAtMost(limit) => Some(ratio? <= limit),
            Self::RatioAtLeast(limit) => Some(ratio? >= limit),
            Self::RatioNear(limit) => Some((ratio? - 1.0).abs() <= limit),
        }
    }
}

/// What a measure is compared with.
pub(crate) struct Reference<'a> {
    pub(crate) name: &'a str,
    /// Or why there is nothing to compare with.
    pub(crate) samples: &'a Result<Samples, String>,
}

/// The heading of the table.
pub(crate) fn heading() {
    println!(
        "| measure | median | min–max | reference | its median | its min–max | ratio | target | met |\n|---|---|---|---|---|---|---|---|---|"
    );
}

/// Prints a row.
pub(crate) fn row(
    measure: &str,
    ours: &Samples,
    unit: Unit,
    reference: Option<&Reference<'_>>,
    target: Target,
) {
    let spread = |samples: &Samples| {
        format!(
            "{} – {}",
            unit.show(samples.least()),
            unit.show(samples.most())
        )
    };
    let mut ratio = None;
    let compared = match reference {
        None => " | | |".to_owned(),
        Some(Reference { name, samples }) => match samples {
            Err(why) => format!("{name}: skipped: {why} | | |"),
            Ok(theirs) => {
                ratio = Some(ours.median() / theirs.median());
                format!(
                    "{name} | {} | {} |",
                    unit.show(theirs.median()),
                    spread(theirs)
                )
            }
        },
    };
    let met = match target.is_met(ours.median(), ratio) {
        None => "",
        Some(true) => "yes",
        Some(false) => "**no**",
    };
    println!(
        "| {measure} | {} | {} | {compared} {} | {} | {met} |",
        unit.show(ours.median()),
        spread(ours),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        target.words(unit)
    );
}

/// Prints a row about a measure that could not be taken.
pub(crate) fn failure(measure: &str, why: &str) {
    println!("| {measure} | failed: {why} | | | | | | | **no** |");
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

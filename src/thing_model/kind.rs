//! The types of a thing model, and whether a scalar fits one.

use rust_decimal::Decimal;

use super::Element;

/// What a value may be: `dataType` and its `specs`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// INT, FLOAT and DOUBLE.
    Number(Range),
    /// BOOL.
    Bool,
    /// ENUM.
    Enum(Vec<Member>),
    /// TEXT of so many characters at most.
    Text(Option<usize>),
    /// RAW: hexadecimal digits, of so many bytes at most.
    Raw(Option<usize>),
    /// DATE: so many digits, which are milliseconds since 1970.
    Date(usize),
    /// STRUCT.
    Struct(Vec<Element>),
    /// ARRAY of so many elements at most.
    Array(Option<usize>, Box<Self>),
    /// Not understood: anything fits.
    Unknown,
}

/// The numbers that fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Range {
    /// Whether only whole numbers do.
    pub(super) is_whole: bool,
    pub(super) min: Option<Decimal>,
    pub(super) max: Option<Decimal>,
    pub(super) step: Option<Decimal>,
}

/// A value of an ENUM.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) value: Box<str>,
    pub(super) name: Box<str>,
}

/// Why a value does not fit.
#[derive(Debug, PartialEq)]
pub(super) struct Misfit {
    /// The code that the platform has for it (specification, "Response Status").
    pub(super) code: i64,
    /// Continues the name of the parameter.
    pub(super) reason: String,
}

impl Misfit {
    pub(super) fn new(code: i64, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// Enumerations longer than this are told by their beginning.
const MEMBERS_TOLD: usize = 8;

impl Kind {
    /// The name of the type in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Number(range) if range.is_whole => "a whole number",
            Self::Number(_) => "a number",
            Self::Bool => "true or false",
            Self::Enum(_) => "a member of an enumeration",
            Self::Text(_) => "text",
            Self::Raw(_) => "hexadecimal text",
            Self::Date(_) => "a time in milliseconds",
            Self::Struct(_) => "a struct",
            Self::Array(..) => "an array",
            Self::Unknown => "a value",
        }
    }

    /// Whether the text of a scalar fits.
    pub(super) fn check_scalar(&self, text: &str) -> Result<(), Misfit> {
        match self {
            Self::Number(range) => range.check(text),
            Self::Bool if matches!(text, "true" | "false") => Ok(()),
            Self::Bool => Err(Misfit::new(
                70083,
                format!("is {}; it takes true or false", quoted(text)),
            )),
            Self::Enum(members) => check_member(members, text),
            Self::Text(most) => match (text.chars().count(), most) {
                (count, Some(most)) if count > *most => Err(Misfit::new(
                    70092,
                    format!("has {count} characters; it takes at most {most}"),
                )),
                _ => Ok(()),
            },
            Self::Raw(most) => check_raw(*most, text),
            Self::Date(digits) if text.len() == *digits && is_digits(text) => Ok(()),
            Self::Date(digits) => Err(Misfit::new(
                70093,
                format!(
                    "is {}; it takes a time in milliseconds, {digits} digits",
                    quoted(text)
                ),
            )),
            Self::Struct(_) | Self::Array(..) => Err(Misfit::new(
                71029,
                format!("is {}; it takes {}", quoted(text), self.name()),
            )),
            Self::Unknown => Ok(()),
        }
    }
}

impl Range {
    fn check(&self, text: &str) -> Result<(), Misfit> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (kind, is_number) = if self.is_whole {
            ("a whole number", is_digits(digits))
        } else {
            ("a number", is_number(digits))
        };
        if !is_number {
            return Err(Misfit::new(
                70083,
                format!("is {}; it takes {kind}", quoted(text)),
            ));
        }
        // What has more digits than can be kept is far out of any range, if there is one.
        let fits = decimal(text).map_or(self.min.is_none() && self.max.is_none(), |number| {
            self.is_inside(number) && self.is_on_step(number)
        });
        if fits {
            return Ok(());
        }
        Err(Misfit::new(
            70090,
            format!("is {text}; it takes {}", self.words()),
        ))
    }

    fn is_inside(&self, number: Decimal) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }

    /// Whether it is so many steps from `min` or from 0: from which of them the platform counts is not documented.
    fn is_on_step(&self, number: Decimal) -> bool {
        let Some(step) = self.step.filter(|step| *step > Decimal::ZERO) else {
            return true;
        };
        [self.min.unwrap_or_default(), Decimal::ZERO]
            .into_iter()
            .any(|from| {
                let rest = number
                    .checked_sub(from)
                    .and_then(|above| above.checked_rem(step));
                rest.is_none_or(|rest| rest.is_zero())
            })
    }

    /// `1 to 100 in steps of 5`.
    fn words(&self) -> String {
        let range = match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, Some(max)) => format!("{max} or less"),
            (None, None) => "any number".to_owned(),
        };
        match self.step {
            Some(step) if !(step.is_zero() || self.is_whole && step == Decimal::ONE) => {
                format!("{range} in steps of {step}")
            }
            _ => range,
        }
    }
}

/// A number as written, also as `1e3`.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text)
        .or_else(|_| Decimal::from_scientific(text))
        .ok()
}

fn check_member(members: &[Member], text: &str) -> Result<(), Misfit> {
    if members.iter().any(|member| &*member.value == text) {
        return Ok(());
    }
    let mut told: Vec<_> = members
        .iter()
        .take(MEMBERS_TOLD)
        .map(|member| format!("{} ({})", member.value, member.name))
        .collect();
    if members.len() > MEMBERS_TOLD {
        told.push(format!("and {} more", members.len() - MEMBERS_TOLD));
    }
    let by_name = members
        .iter()
        .find(|member| member.name.eq_ignore_ascii_case(text.trim()));
    let hint = by_name.map_or_else(String::new, |member| {
        format!("; {} is the name of {}", quoted(text), member.value)
    });
    Err(Misfit::new(
        70091,
        format!("is {}{hint}; it takes {}", quoted(text), told.join(", ")),
    ))
}

fn check_raw(most: Option<usize>, text: &str) -> Result<(), Misfit> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || text.len() % 2 == 1 {
        return Err(Misfit::new(
            70083,
            format!(
                "is {}; it takes hexadecimal digits, two for each byte",
                quoted(text)
            ),
        ));
    }
    // Whether the export counts bytes or digits is not documented: only what is too long either way is refused.
    match most {
        Some(most) if text.len() / 2 > most => Err(Misfit::new(
            70092,
            format!("has {} bytes; it takes at most {most}", text.len() / 2),
        )),
        _ => Ok(()),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits with a point or an exponent, as JSON has them.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// The text in quotes, its beginning when it is long.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}

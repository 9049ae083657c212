//! A command against a thing model.

use std::fmt;

use super::{
    Element, Service, ThingModel,
    call::{self, Pair, Tree},
    kind::{Kind, Misfit, quoted},
};

/// The longest message to a device, in bytes (page "Limitations").
const LONGEST_MESSAGE: usize = 64 << 10;

/// One thing about a command that the platform would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The parameter at fault, when it is one.
    pub(crate) param: Option<Box<str>>,
    /// What is wrong, and what is allowed: lower case, no full stop.
    pub(crate) reason: String,
    /// The code that the platform has for it, where the documentation has one (specification, "Response Status").
    pub(crate) code: Option<i64>,
}

impl fmt::Display for Violation {
    /// `` `level` is 2000; it takes 1 to 100 (the platform's 70090) ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.code {
            Some(code) => write!(f, " (the platform's {code})"),
            None => Ok(()),
        }
    }
}

impl ThingModel {
    /// Everything about the wire string `data` that does not fit; none when the platform can take it.
    pub(crate) fn check(&self, data: &str) -> Vec<Violation> {
        let call = match call::read(data) {
            Ok(call) => call,
            Err(error) => {
                return vec![Violation {
                    param: None,
                    reason: no_call(data, &error),
                    code: Some(71028),
                }];
            }
        };
        let mut walk = Walk {
            param: None,
            violations: Vec::new(),
        };
        for Pair(code, arguments) in &call {
            self.check_service(code, arguments, &mut walk);
        }
        if call.is_empty() {
            walk.found(Misfit::new(71028, "calls no service"));
        }
        // No encoding of a value is longer than its text.
        if data.len() > LONGEST_MESSAGE && walk.violations.is_empty() {
            self.check_length(&call, &mut walk);
        }
        walk.violations
    }

    fn check_service<'a>(&self, code: &'a str, arguments: &'a Tree<'a>, walk: &mut Walk<'a>) {
        let Some(service) = self.services.get(code) else {
            // The specification's first form of `data` has no service around its codes ("data format").
            return match self.properties.get(code) {
                Some(property) => property.check(code, arguments, walk),
                None => walk.found(Misfit::new(70094, self.unknown_service(code))),
            };
        };
        if *arguments == Tree::Null {
            return;
        }
        let Tree::List(arguments) = arguments else {
            return walk.found(Misfit::new(
                71029,
                format!("the service `{code}` takes a list of parameters"),
            ));
        };
        for (place, Pair(name, value)) in arguments.iter().enumerate() {
            walk.param = Some(name);
            if arguments[..place]
                .iter()
                .any(|Pair(other, _)| other == name)
            {
                walk.found(Misfit::new(71029, format!("`{name}` is given twice")));
            }
            match service.input(name) {
                Some(input) => input.check(name, value, walk),
                None if service.is_open => {}
                None => {
                    let known = service.inputs.iter().map(|input| &*input.code);
                    let hint = near_miss(name, known, "parameters");
                    walk.found(Misfit::new(
                        70094,
                        format!("the service `{code}` has no parameter `{name}`{hint}"),
                    ));
                }
            }
        }
        walk.param = None;
    }

    fn unknown_service(&self, code: &str) -> String {
        let hint = near_miss(code, self.services(), "services");
        format!("the thing model has no service `{code}`{hint}")
    }

    fn check_length(&self, call: &[Pair<'_>], walk: &mut Walk<'_>) {
        let services = call.iter().map(|Pair(code, arguments)| {
            let inputs = self.services.get(code.as_ref());
            let kind = |name: &str| inputs.and_then(|service| service.input(name));
            match arguments {
                Tree::List(arguments) => arguments
                    .iter()
                    .map(|Pair(name, value)| encoded(kind(name).map(|input| &input.kind), value))
                    .sum::<usize>(),
                Tree::Scalar(_) | Tree::Null => 0,
            }
        });
        let bytes: usize = services.sum();
        if bytes > LONGEST_MESSAGE {
            walk.violations.push(Violation {
                param: None,
                reason: format!(
                    "takes {bytes} bytes on the way to the device, of {LONGEST_MESSAGE} that a message may have"
                ),
                code: None,
            });
        }
    }
}

impl Service {
    fn input(&self, code: &str) -> Option<&Element> {
        self.inputs.iter().find(|input| &*input.code == code)
    }
}

impl Element {
    fn check<'a>(&self, path: &str, value: &'a Tree<'a>, walk: &mut Walk<'a>) {
        if self.is_read_only {
            return walk.at(path, &Misfit::new(71038, "is read-only"));
        }
        self.kind.check(path, value, walk);
    }
}

impl Kind {
    fn check<'a>(&self, path: &str, value: &'a Tree<'a>, walk: &mut Walk<'a>) {
        match (self, value) {
            (Self::Unknown, _) | (_, Tree::Null) => {}
            (Self::Array(most, kind), Tree::List(elements)) => {
                if let Some(most) = most.filter(|most| elements.len() > *most) {
                    let reason =
                        format!("has {} elements; it takes at most {most}", elements.len());
                    walk.at(path, &Misfit::new(71039, reason));
                }
                for (place, Pair(id, element)) in elements.iter().enumerate() {
                    let path = format!("{path}[{place}]");
                    if id == "0" {
                        kind.check(&path, element, walk);
                    } else {
                        let reason = format!(
                            "has the member `{id}`; elements of an array have the code `0`"
                        );
                        walk.at(&path, &Misfit::new(71029, reason));
                    }
                }
            }
            (Self::Struct(members), Tree::List(given)) => {
                for Pair(code, value) in given {
                    let path = format!("{path}.{code}");
                    if let Some(member) = members.iter().find(|member| *member.code == **code) {
                        member.check(&path, value, walk);
                    } else {
                        let known = members.iter().map(|member| &*member.code);
                        let hint = near_miss(code, known, "members");
                        let reason = format!("is not in the struct{hint}");
                        walk.at(&path, &Misfit::new(70094, reason));
                    }
                }
            }
            (kind, Tree::List(_)) => {
                let reason = format!("is a list; it takes {}", kind.name());
                walk.at(path, &Misfit::new(71029, reason));
            }
            (kind, Tree::Scalar(text)) => {
                if let Err(misfit) = kind.check_scalar(text) {
                    walk.at(path, &misfit);
                }
            }
        }
    }
}

/// What has been found on the way through a command.
struct Walk<'a> {
    /// The parameter that is being looked at.
    param: Option<&'a str>,
    violations: Vec<Violation>,
}

impl Walk<'_> {
    /// A misfit whose reason says what is meant.
    fn found(&mut self, misfit: Misfit) {
        self.violations.push(Violation {
            param: self.param.map(Into::into),
            reason: misfit.reason,
            code: Some(misfit.code),
        });
    }

    /// A misfit of the value at `path`.
    fn at(&mut self, path: &str, misfit: &Misfit) {
        self.found(Misfit::new(
            misfit.code,
            format!("`{path}` {}", misfit.reason),
        ));
    }
}

/// Why a text is no service call.
fn no_call(data: &str, error: &serde_json::Error) -> String {
    let error = error.to_string();
    let why = if data.trim_start().starts_with('{') {
        "it is an object, and not a list of services"
    } else {
        error.split(" at line ").next().unwrap_or_default()
    };
    format!(
        "is not a service call: {why}; a call is `[{{\"service\":[{{\"parameter\":\"value\"}}]}}]`"
    )
}

/// `; did you mean …?`, or what there is when nothing is near.
fn near_miss<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>, plural: &str) -> String {
    const MOST_TOLD: usize = 8;
    let known: Vec<_> = known.into_iter().collect();
    let distance =
        |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &unknown.to_lowercase());
    let nearest = known
        .iter()
        .map(|name| (distance(name), *name))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        None => format!("; it has no {plural}"),
        Some((distance, name)) if distance * 3 <= name.chars().count() => {
            format!("; did you mean `{name}`?")
        }
        Some(_) => {
            let told: Vec<_> = known
                .iter()
                .take(MOST_TOLD)
                .map(|name| quoted(name))
                .collect();
            let more = known.len().saturating_sub(MOST_TOLD);
            let rest = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("; its {plural} are {}{rest}", told.join(", "))
        }
    }
}

/// The bytes of a value in the device's protocol (page "FAQs About Product Usage": two bytes of tag, then a number's length and digits, or a
/// length of two bytes and the bytes, or a count and the elements).
fn encoded(kind: Option<&Kind>, value: &Tree<'_>) -> usize {
    const TAG: usize = 2;
    const LENGTH: usize = 2;
    TAG + match (kind, value) {
        (Some(Kind::Bool), Tree::Scalar(_)) | (_, Tree::Null) => 0,
        (Some(Kind::Number(_) | Kind::Enum(_) | Kind::Date(_)), Tree::Scalar(text)) => {
            // At least one byte, and no more than the digits need.
            1 + (text.len() / 3).clamp(1, 8)
        }
        (Some(Kind::Raw(_)), Tree::Scalar(text)) => LENGTH + text.len() / 2,
        (_, Tree::Scalar(text)) => LENGTH + text.len(),
        (kind, Tree::List(items)) => {
            let inner = |code: &str| match kind {
                Some(Kind::Array(_, kind)) => Some(&**kind),
                Some(Kind::Struct(members)) => members
                    .iter()
                    .find(|member| &*member.code == code)
                    .map(|member| &member.kind),
                _ => None,
            };
            LENGTH
                + items
                    .iter()
                    .map(|Pair(code, value)| encoded(inner(code), value))
                    .sum::<usize>()
        }
    }
}

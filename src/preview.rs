//! Counts what a manifest would send while its rows are read, and finds likely mistakes.
//!
//! [`Survey`] counts in bounded memory, [`Preview`] is its result, and [`warnings`] are the rules that read it. Nothing here uses a thing
//! model: a name or a value is suspicious only in comparison with the others.

mod alike;
mod calls;
mod count;
mod survey;
mod warning;

pub(crate) use self::{
    count::{Met, PayloadUse, Preview, Values},
    survey::Survey,
    warning::{Warning, WarningKind, own_payloads, warnings},
};

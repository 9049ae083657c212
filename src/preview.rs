//! What a manifest would send, found while its rows are read, and what looks like a mistake in it.
//!
//! [`Survey`] counts in bounded memory, [`Preview`] is what it has found, and [`warnings`] are the rules that read it. Nothing here knows the
//! platform's thing model: a name or a value is odd only beside the others.

mod alike;
mod calls;
mod count;
mod survey;
mod warning;

pub(crate) use self::{
    count::{Met, PayloadUse, Preview, Values},
    survey::Survey,
    warning::{Oddity, Warning, own_payloads, warnings},
};

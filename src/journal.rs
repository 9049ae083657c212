//! The rules of a push: plain code on values, which knows no database and no clock.

mod strays;

pub(crate) use strays::Strays;

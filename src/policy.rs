//! The rules: what an outcome means and what follows from it.

pub mod codes;

//! The engine on real SQLite files, against a platform that a test scripts.

mod bench;
mod chaos;
mod deadline;
mod order;
mod outcomes;
mod platform;
mod refusals;
mod rollout;
mod stops;

use bench::{Bench, by_anna};
use platform::{Script, accepted, code, elements, lost, reply};

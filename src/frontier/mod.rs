//! The frontier: the highest dirty rate at which an arm's migration still converges.
//!
//! [`run()`] probes one rate after the other; each probe is a whole migration, made by the runner. Under
//! the live clock all searches take turns, arms and links alike, so that drift of the machine falls on all of
//! them, and the probes of a turn meet the same dirty-page stream. Whether a migration converges is then a
//! matter of chance near the frontier: it is the rate at which one of two does, and has an interval. Under
//! the virtual clock answers are exact, and so is the frontier.
//!
//! - [`search`]: where to probe next, what the answers say; pure
//! - [`mod@file`]: `frontier.json`, written after each probe and read back with suspicion
//! - [`probing`]: searches that take turns on the runner
//! - `prediction`: what a plan says of the same frontiers, from the costs of a run
//! - [`report`]: table, chart, page

pub mod file;
mod prediction;
pub mod probing;
mod question;
pub mod report;
pub mod search;

pub use file::{Entry, FrontierFile, Predicted, Probe};
pub use prediction::predict;
pub use probing::{Asked, Observer, run};
pub use question::check_scenario;

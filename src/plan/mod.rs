//! Predictions for a VM and a link that were not measured, from the costs of a run that was.
//!
//! A migration is followed round by round on paper, with the decision and the estimate that pre-copy is made
//! with ([`crate::precopy`]); what hosts and guest do is put in its place: costs taken from a run's
//! migrations ([`Calibration`]), and the stream's own curve of distinct pages ([`Curves`]). It is followed
//! many times, with costs drawn from the run's blocks, at different moments of the stream: that makes
//! the intervals.

mod beside;
mod calibration;
mod costs;
mod curve;
mod errors;
mod find;
mod hosts;
mod pacing;
mod predict;
mod range;
mod rounds;
mod sample;
mod simple;
mod spread;
mod validate;
mod vm;

pub use calibration::{ArmCosts, Calibration, Draw};
pub use costs::Costs;
pub use curve::{Curve, Curves};
pub use errors::{Error as Misses, Outcomes, Validation};
pub use find::{Find, Found, HighestRate, Target, find, highest_rate};
pub use hosts::{Binds, Busy, Hosts};
pub use pacing::{Pacing, VcpuCosts};
pub use predict::{LEVEL, Planner, Prediction};
pub use rounds::{Case, Course, follow};
pub use simple::{Simple, geometric};
pub use spread::Spread;
pub use validate::{Checked, Point, Simpler, runs_in, validate};
pub use vm::{COLUMNS, Planned, Vm, WorkingSet, read_inventory};

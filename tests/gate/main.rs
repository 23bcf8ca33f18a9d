//! The gate: two runs, two builds, two files of instruction counts.

mod builds;
mod groups;
mod instructions;
mod runs;

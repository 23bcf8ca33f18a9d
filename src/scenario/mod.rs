//! A scenario: guest, workload, migration and measurement, as a TOML file with a prose analysis.
//!
//! A [`Scenario`] is the resolved form: every field has its value, and serialising one gives TOML or
//! JSON that reads back as the same scenario. Only `name` is required in a file; unknown
//! fields are refused. `datasets/README.md` describes every field with its default and range.
//!
//! A file may hold lists where a single value is expected: [`load_points`] expands such a matrix
//! into one scenario per point.

mod check;
mod content;
mod differences;
mod engines;
mod load;
mod matrix;
mod overrides;
pub mod platform;
mod preset;
mod spec;
mod storage;

pub use check::{MAX_RECORD, MAX_STREAMS};
pub use differences::{Difference, all_differences, conditions, differences};
pub use engines::{Accelerator, QemuCompression, QemuSpec, TunnelValues};
pub use load::{EMBEDDED, embedded, folder_name, load, load_points, overlaid, parse};
pub use matrix::MAX_POINTS;
pub use overrides::{
    MOST_AUTO_BLOCKS, MigrationOverrides, Overrides, Repetitions, StreamOverrides,
};
pub use platform::{Platform, PlatformValues};
pub use spec::{
    ClockKind, GuestSpec, MeasureSpec, MigrationSpec, Policy, Sampling, Scenario, Workers,
    WorkloadSpec,
};
pub use storage::StorageSpec;

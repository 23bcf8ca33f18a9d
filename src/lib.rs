//! migtax measures what encryption costs a live migration.
//!
//! A [`scenario`] describes a guest, its [`workload`] and how it is migrated; the runner moves
//! the guest's memory between two host processes once per [`arm`] and repetition and records
//! [`results`]. Statistics, report and gate read results and never the transport or the ciphers.

pub mod arm;
pub mod cli;
pub mod compare;
pub mod error;
pub mod gate;
pub mod machine;
pub mod results;
pub mod scenario;
pub mod simulate;
pub mod stats;
pub mod units;
pub mod workload;

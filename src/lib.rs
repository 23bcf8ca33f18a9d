//! migtax measures what encryption costs a live migration.
//!
//! A [`scenario`] describes a guest, its [`workload`] and how it is migrated; the [`runner`] moves
//! the guest's memory between two [`host`] processes once per [`arm`] and repetition and records
//! [`results`]. Statistics, report and gate read results and never the transport or the ciphers.

pub mod arm;
pub mod cli;
pub mod crypto;
pub mod destination;
pub mod error;
pub mod figures;
pub mod files;
pub mod gate;
pub mod guest;
pub mod host;
pub mod machine;
pub mod memory;
pub mod meter;
pub mod precopy;
pub mod present;
pub mod record;
pub mod report;
pub mod results;
pub mod run_folder;
pub mod runner;
pub mod scenario;
pub mod source;
pub mod stats;
pub mod tracking;
pub mod transport;
pub mod units;
pub mod wire;
pub mod workload;

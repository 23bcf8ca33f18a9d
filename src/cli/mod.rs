//! The verbs of the command line, one a file.

mod record;
pub mod workload;
mod workload_plot;

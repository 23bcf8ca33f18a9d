//! The verbs of the command line, one a file.

pub mod record;

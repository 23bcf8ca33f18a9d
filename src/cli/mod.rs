//! The command line: one verb a file.

pub mod ab;
pub mod doctor;
pub mod gate;

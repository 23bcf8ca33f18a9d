//! Dirty-page streams: what holds of each, what theory says of them, traces, the command.

mod command;
mod streams;
mod theory;
mod trace;

//! Traces: the page-level writes of a real program, recorded once and replayed in time.
//!
//! A trace is checked as a whole when it is opened, so replaying one can't fail half-way.

mod format;
mod lackey;
mod read;
mod replay;
mod write;

pub use format::TraceError;
pub use lackey::reduce as reduce_lackey;
pub use read::Trace;
pub use replay::Replay;
pub use write::TraceWriter;

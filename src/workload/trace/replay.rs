//! Replaying traces.

use std::sync::Arc;

use super::format::TraceError;
use super::read::{Reader, Trace};

/// The writes of a trace in order, once or for ever. Each is the nanoseconds since the start of the
/// replay at the recorded speed, and the page; the writes of one quantum are spread evenly over it.
#[derive(Debug, Clone)]
pub struct Replay {
    trace: Arc<Trace>,
    repeat: bool,
    at: usize,
    /// Nanoseconds of the passes made before this one.
    base_ns: u64,
    /// Start of the current group within the pass.
    group_ns: u64,
    /// Quanta up to and with the current group.
    quantum: u64,
    /// Writes of the current group, and those of them handed out.
    group: Vec<u64>,
    done: usize,
}

impl Replay {
    /// At the start of the trace.
    pub fn new(trace: Arc<Trace>, repeat: bool) -> Replay {
        Replay {
            trace,
            repeat,
            at: 0,
            base_ns: 0,
            group_ns: 0,
            quantum: 0,
            group: Vec::new(),
            done: 0,
        }
    }

    fn next_group(&mut self) -> bool {
        if self.at == self.trace.body.len() {
            if !self.repeat {
                return false;
            }
            self.at = 0;
            self.quantum = 0;
            self.base_ns = self.base_ns.saturating_add(self.trace.duration_ns());
        }
        self.group.clear();
        self.done = 0;
        let mut reader = Reader {
            body: &self.trace.body,
            at: self.at,
        };
        let read = read_group(&mut reader, &mut self.group);
        let Ok(skip) = read else {
            unreachable!("a trace is checked as a whole when it is opened");
        };
        self.quantum += skip;
        self.group_ns = (self.quantum - 1) * u64::from(self.trace.quantum_ns);
        self.at = reader.at;
        true
    }
}

impl Iterator for Replay {
    type Item = (u64, u64);

    #[inline]
    fn next(&mut self) -> Option<(u64, u64)> {
        if self.done == self.group.len() && !self.next_group() {
            return None;
        }
        let within = u64::from(self.trace.quantum_ns) * self.done as u64 / self.group.len() as u64;
        let at_ns = self
            .base_ns
            .saturating_add(self.group_ns)
            .saturating_add(within);
        let page = self.group[self.done];
        self.done += 1;
        Some((at_ns, page))
    }
}

fn read_group(reader: &mut Reader<'_>, pages: &mut Vec<u64>) -> Result<u64, TraceError> {
    let skip = reader.number()?;
    let tokens = reader.number()?;
    let mut next = 0;
    for _ in 0..tokens {
        let (gap, length) = reader.token()?;
        let first = next + gap;
        next = first + length;
        pages.extend(first..next);
    }
    Ok(skip)
}

//! Writing traces.

use std::collections::BTreeSet;

use super::format::{MAGIC, MAX_BODY, MAX_DURATION_NS, MAX_PAGES, MAX_TEXT, VERSION};
use crate::error::{Error, Result};

/// Collects page writes in time order and encodes them as a trace file.
#[derive(Debug)]
pub struct TraceWriter {
    quantum_ns: u32,
    /// Writes by quantum: (quantum, page as recorded), without repetition, in order.
    groups: Vec<(u64, Vec<u64>)>,
    current: BTreeSet<u64>,
    current_quantum: u64,
}

impl TraceWriter {
    /// An empty trace whose time stamps are multiples of `quantum_ns` (at least 1).
    pub fn new(quantum_ns: u32) -> TraceWriter {
        TraceWriter {
            quantum_ns: quantum_ns.max(1),
            groups: Vec::new(),
            current: BTreeSet::new(),
            current_quantum: 0,
        }
    }

    /// Adds a write at `at_ns`, not before the last one's quantum. Repeated writes of a page in a
    /// quantum count as one. Pages are any numbers: they are renumbered densely, in their order.
    ///
    /// # Panics
    /// If time goes back beyond the quantum.
    pub fn push(&mut self, at_ns: u64, page: u64) {
        let quantum = at_ns / u64::from(self.quantum_ns);
        assert!(quantum >= self.current_quantum, "writes come in time order");
        if quantum > self.current_quantum {
            self.close_group();
            self.current_quantum = quantum;
        }
        self.current.insert(page);
    }

    fn close_group(&mut self) {
        if !self.current.is_empty() {
            let pages = std::mem::take(&mut self.current).into_iter().collect();
            self.groups.push((self.current_quantum, pages));
        }
    }

    /// The file's bytes; the trace lasts until `end_ns`, rounded up to whole quanta.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a trace without writes or beyond the format's limits.
    pub fn finish(mut self, end_ns: u64, text: &str) -> Result<Vec<u8>> {
        self.close_group();
        let quanta = end_ns
            .div_ceil(u64::from(self.quantum_ns))
            .max(self.current_quantum + 1);
        let all: BTreeSet<u64> = self.groups.iter().flat_map(|(_, p)| p).copied().collect();
        let dense: Vec<u64> = all.into_iter().collect();
        let writes: u64 = self.groups.iter().map(|(_, p)| p.len() as u64).sum();
        let mut body = Vec::new();
        let mut previous = 0;
        for (quantum, pages) in &self.groups {
            put_number(&mut body, quantum + 1 - previous);
            previous = quantum + 1;
            let pages: Vec<u64> = pages
                .iter()
                .map(|page| dense.partition_point(|known| known < page) as u64)
                .collect();
            put_pages(&mut body, &pages);
        }
        let (pages, text_len, body_len) = (dense.len(), text.len(), body.len());
        let duration = quanta.saturating_mul(u64::from(self.quantum_ns));
        let limits = [
            ("writes", writes, 1, u64::MAX),
            ("pages", pages as u64, 1, MAX_PAGES),
            ("body length in bytes", body_len as u64, 0, MAX_BODY as u64),
            ("text length in bytes", text_len as u64, 0, MAX_TEXT as u64),
            ("duration in ns", duration, 1, MAX_DURATION_NS),
        ];
        for (name, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(
                    format_args!("trace {name}"),
                    value,
                    format_args!("{least} to {most}"),
                ));
            }
        }
        let mut file = MAGIC.to_vec();
        file.extend(VERSION.to_le_bytes());
        file.extend(self.quantum_ns.to_le_bytes());
        file.extend(quanta.to_le_bytes());
        file.extend((pages as u64).to_le_bytes());
        file.extend(writes.to_le_bytes());
        file.extend((text_len as u16).to_le_bytes());
        file.extend((body_len as u32).to_le_bytes());
        file.extend(text.as_bytes());
        file.extend(&body);
        file.extend(crc32fast::hash(&file).to_le_bytes());
        Ok(file)
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Encodes ascending pages as runs.
fn put_pages(out: &mut Vec<u8>, pages: &[u64]) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &page in pages {
        match runs.last_mut() {
            Some((first, length)) if *first + *length == page => *length += 1,
            _ => runs.push((page, 1)),
        }
    }
    put_number(out, runs.len() as u64);
    let mut next = 0;
    for (first, length) in runs {
        let gap = first - next;
        if length == 1 {
            put_number(out, gap << 1);
        } else {
            put_number(out, (gap << 1) | 1);
            put_number(out, length - 2);
        }
        next = first + length;
    }
}

//! Reducing valgrind's lackey output to a trace.

use std::io::Read;

use super::write::TraceWriter;
use crate::error::{Error, Result};
use crate::units::PAGE_SIZE;

/// What valgrind's lackey tool wrote, reduced to a trace's writes.
#[derive(Debug)]
pub struct Reduced {
    /// Page writes, ready to be finished.
    pub writer: TraceWriter,
    /// Instructions executed.
    pub instructions: u64,
    /// Stores and modifies.
    pub stores: u64,
    /// Length at the given instruction rate.
    pub end_ns: u64,
}

/// Reads `--trace-mem=yes` output: `I addr,size` is an instruction, ` S addr,size` a store and
/// ` M addr,size` a modify; loads and valgrind's own lines are passed over. Instruction i happens
/// at i / `instructions_per_second`. The first `skip` instructions and what they write are left
/// out, and reading stops after `most` more, so that the program may be ended. A store across a page
/// boundary writes both pages.
///
/// # Errors
/// Input that can't be read, or a line in another form.
pub fn reduce(
    mut input: impl Read,
    instructions_per_second: u64,
    quantum_ns: u32,
    skip: u64,
    most: u64,
) -> Result<Reduced> {
    let mut state = State {
        writer: TraceWriter::new(quantum_ns),
        instructions_per_second: u128::from(instructions_per_second.max(1)),
        quantum_ns: quantum_ns.max(1),
        skip,
        end: skip.saturating_add(most),
        instructions: 0,
        stores: 0,
        last: (u64::MAX, u64::MAX),
    };
    let mut buffer = vec![0u8; 1 << 20];
    let mut held = 0;
    loop {
        let got = input
            .read(&mut buffer[held..])
            .map_err(|e| Error::io("cannot read lackey's output", e))?;
        let filled = held + got;
        let whole = match buffer[..filled].iter().rposition(|b| *b == b'\n') {
            Some(end) => end + 1,
            None if got == 0 => filled,
            None if filled == buffer.len() => return Err(bad_line(&buffer[..60])),
            None => {
                held = filled;
                continue;
            }
        };
        for line in buffer[..whole].split(|b| *b == b'\n') {
            state.line(line)?;
        }
        buffer.copy_within(whole..filled, 0);
        held = filled - whole;
        if got == 0 || state.instructions >= state.end {
            break;
        }
        // The tracer makes one system call a line. Letting the pipe (64 KiB) fill up a little before
        // it is read again spares it a wake-up at each of them.
        if got < 32 << 10 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    let counted = state.instructions.min(state.end).saturating_sub(skip);
    Ok(Reduced {
        end_ns: state.time(counted),
        instructions: counted,
        stores: state.stores,
        writer: state.writer,
    })
}

struct State {
    writer: TraceWriter,
    instructions_per_second: u128,
    quantum_ns: u32,
    skip: u64,
    end: u64,
    instructions: u64,
    stores: u64,
    /// Quantum and page of the last write: most writes repeat it.
    last: (u64, u64),
}

impl State {
    fn time(&self, instructions: u64) -> u64 {
        let ns = u128::from(instructions) * 1_000_000_000 / self.instructions_per_second;
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    #[inline]
    fn line(&mut self, line: &[u8]) -> Result<()> {
        match line {
            [b'I', b' ', b' ', ..] => self.instructions += 1,
            [b' ', b'S' | b'M', b' ', rest @ ..]
                if (self.skip..self.end).contains(&self.instructions) =>
            {
                let (address, size) = parse(rest).ok_or_else(|| bad_line(line))?;
                self.stores += 1;
                let first = address / PAGE_SIZE as u64;
                let last = address.saturating_add(size.max(1) - 1) / PAGE_SIZE as u64;
                let at_ns = self.time(self.instructions - self.skip);
                for page in first..=last.min(first.saturating_add(4096)) {
                    let quantum = at_ns / u64::from(self.quantum_ns);
                    if self.last != (quantum, page) {
                        self.last = (quantum, page);
                        self.writer.push(at_ns, page);
                    }
                }
            }
            [] | [b' ', b'L' | b'S' | b'M', b' ', ..] | [b'=', b'=', ..] | [b'-', b'-', ..] => {}
            _ => return Err(bad_line(line)),
        }
        Ok(())
    }
}

/// `hexadecimal address,decimal size`.
fn parse(text: &[u8]) -> Option<(u64, u64)> {
    let comma = text.iter().position(|b| *b == b',')?;
    let address = text[..comma].iter().try_fold(0u64, |value, b| {
        let digit = (*b as char).to_digit(16)?;
        value.checked_mul(16)?.checked_add(u64::from(digit))
    })?;
    let size = std::str::from_utf8(&text[comma + 1..])
        .ok()?
        .trim()
        .parse()
        .ok()?;
    (comma > 0).then_some((address, size))
}

fn bad_line(line: &[u8]) -> Error {
    let text = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
    Error::Invalid(format!(
        "lackey's output: {text:?} is no line of --trace-mem=yes: \"I addr,size\", \" L addr,size\", \" S addr,size\" or \" M addr,size\""
    ))
}

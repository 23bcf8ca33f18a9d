//! A vCPU's stream: where it begins, and the place in it, kept exactly.

use crate::workload::{PageWrite, WriteStream};

/// Writes taken from a stream at once. Few, since drawing them delays the answer to a pause.
const BATCH: usize = 128;

/// What a vCPU executes: page writes in time order.
pub trait PageWrites: Send {
    /// Drops the writes before `at_ns`.
    fn skip_to(&mut self, at_ns: u64);

    /// Appends the next `count` writes to `out`; fewer only if the stream has ended.
    fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize);
}

impl PageWrites for WriteStream {
    fn skip_to(&mut self, at_ns: u64) {
        WriteStream::skip_to(self, at_ns);
    }

    fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        WriteStream::fill(self, out, count);
    }
}

/// Which write of a stream comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamPosition {
    /// Its intended time, nanoseconds since the start of the stream; `u64::MAX` if there is none.
    pub at_ns: u64,
    /// Writes with that same time that come before it.
    pub after: u64,
}

impl StreamPosition {
    /// No write comes next.
    pub(super) const END: StreamPosition = StreamPosition::at(u64::MAX);

    /// The first write of that time.
    pub const fn at(at_ns: u64) -> StreamPosition {
        StreamPosition { at_ns, after: 0 }
    }
}

/// Where vCPUs begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStart {
    /// Stream time when the vCPUs start.
    pub(super) offset_ns: u64,
    /// Where the streams go on, if the guest ran before.
    pub(super) positions: Option<Vec<StreamPosition>>,
}

impl StreamStart {
    /// Every stream begins with its first write at or after `offset_ns`, which is stream time when
    /// the vCPUs start.
    pub fn at(offset_ns: u64) -> StreamStart {
        StreamStart {
            offset_ns,
            positions: None,
        }
    }

    /// The streams go on at these positions. Stream time when the vCPUs start is known then
    /// ([`super::Vcpus::start_at`]); writes between the two are pending: they are executed at once.
    pub fn resumed(positions: Vec<StreamPosition>) -> StreamStart {
        StreamStart {
            offset_ns: 0,
            positions: Some(positions),
        }
    }
}

/// Reads a stream, write by write, and knows its place in it.
pub(super) struct StreamReader<S> {
    stream: S,
    batch: Vec<PageWrite>,
    next: usize,
    /// Time of the last write taken, and how many of that time were taken.
    last: StreamPosition,
}

impl<S: PageWrites> StreamReader<S> {
    /// Brings vCPU `index`'s stream to its start.
    pub(super) fn new(mut stream: S, index: usize, start: &StreamStart) -> Self {
        let position = match &start.positions {
            Some(positions) => positions[index],
            None => StreamPosition::at(start.offset_ns),
        };
        stream.skip_to(position.at_ns);
        let mut reader = StreamReader {
            stream,
            batch: Vec::with_capacity(BATCH),
            next: 0,
            last: StreamPosition::at(position.at_ns),
        };
        while reader.last.after < position.after && reader.peek().is_some() {
            reader.advance();
        }
        reader
    }

    /// The next write, if the stream has one.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<PageWrite> {
        if self.next == self.batch.len() {
            self.refill();
        }
        self.batch.get(self.next).copied()
    }

    #[cold]
    fn refill(&mut self) {
        self.batch.clear();
        self.next = 0;
        self.stream.fill(&mut self.batch, BATCH);
    }

    /// Goes on past the write that [`StreamReader::peek`] gave.
    #[inline]
    pub(super) fn advance(&mut self) {
        let at_ns = self.batch[self.next].at_ns;
        self.next += 1;
        let after = if at_ns == self.last.at_ns {
            self.last.after + 1
        } else {
            1
        };
        self.last = StreamPosition { at_ns, after };
    }

    /// Where the stream goes on.
    pub(super) fn position(&mut self) -> StreamPosition {
        let last = self.last;
        match self.peek() {
            Some(write) if write.at_ns == last.at_ns => last,
            Some(write) => StreamPosition::at(write.at_ns),
            None => StreamPosition::END,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct List(Vec<PageWrite>);

    impl PageWrites for List {
        fn skip_to(&mut self, at_ns: u64) {
            self.0.retain(|write| write.at_ns >= at_ns);
        }

        fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
            out.extend(self.0.drain(..count.min(self.0.len())));
        }
    }

    #[test]
    fn every_position_is_taken_up_exactly_again_and_again() {
        let times = [0, 0, 0, 5, 7, 7, 9];
        let list = || {
            let write = |(i, at_ns): (usize, &u64)| PageWrite {
                at_ns: *at_ns,
                page: i as u64,
                value: 0,
            };
            List(times.iter().enumerate().map(write).collect())
        };
        for taken in 0..=times.len() {
            let mut reader = StreamReader::new(list(), 0, &StreamStart::at(0));
            (0..taken).for_each(|_| {
                reader.peek();
                reader.advance();
            });
            let position = reader.position();
            let start = StreamStart::resumed(vec![position]);
            let mut resumed = StreamReader::new(list(), 0, &start);
            assert_eq!(resumed.position(), position, "moved on before it wrote");
            let next = resumed.peek().map(|write| write.page as usize);
            assert_eq!(next, (taken < times.len()).then_some(taken));
        }
    }
}

//! The streams of all vCPUs in one order, for the virtual clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::{PageWrite, WriteStream};
use crate::error::Result;
use crate::scenario::Scenario;

/// Writes generated at a time for a vCPU.
const BATCH: usize = 1024;

/// The writes of all vCPUs, ordered by (time, vCPU).
#[derive(Debug)]
pub struct MergedStream {
    lanes: Vec<Lane>,
    /// The next write of every vCPU whose stream has not ended: (time, vCPU), earliest on top.
    heads: BinaryHeap<Reverse<(u64, u32)>>,
}

#[derive(Debug)]
struct Lane {
    stream: WriteStream,
    batch: Vec<PageWrite>,
    next: usize,
}

impl Lane {
    /// The next write, without taking it.
    fn peek(&mut self) -> Option<PageWrite> {
        if self.next == self.batch.len() {
            self.batch.clear();
            self.next = 0;
            self.stream.fill(&mut self.batch, BATCH);
        }
        self.batch.get(self.next).copied()
    }
}

impl MergedStream {
    /// The merged stream from time 0.
    ///
    /// # Errors
    /// A scenario that [`Scenario::check`] refuses.
    pub fn new(scenario: &Scenario) -> Result<MergedStream> {
        let lanes = (0..scenario.guest.vcpus)
            .map(|vcpu| {
                Ok(Lane {
                    stream: WriteStream::new(scenario, vcpu)?,
                    batch: Vec::with_capacity(BATCH),
                    next: 0,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut merged = MergedStream {
            lanes,
            heads: BinaryHeap::new(),
        };
        merged.find_heads();
        Ok(merged)
    }

    fn find_heads(&mut self) {
        self.heads = (0u32..)
            .zip(&mut self.lanes)
            .filter_map(|(vcpu, lane)| lane.peek().map(|w| Reverse((w.at_ns, vcpu))))
            .collect();
    }

    /// Drops the writes before `at_ns`, as [`WriteStream::skip_to`] does.
    pub fn skip_to(&mut self, at_ns: u64) {
        for lane in &mut self.lanes {
            while let Some(write) = lane.peek() {
                if write.at_ns >= at_ns {
                    break;
                }
                let due = &lane.batch[lane.next..];
                lane.next += due.partition_point(|w| w.at_ns < at_ns);
            }
        }
        self.find_heads();
    }

    /// The next write if it is due before `until_ns`, with its vCPU.
    #[inline]
    pub fn next_until(&mut self, until_ns: u64) -> Option<(u32, PageWrite)> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((at_ns, vcpu)) = *head;
        if at_ns >= until_ns {
            return None;
        }
        let lane = &mut self.lanes[vcpu as usize];
        let write = lane.batch[lane.next];
        lane.next += 1;
        match lane.peek() {
            Some(next) => *head = Reverse((next.at_ns, vcpu)),
            None => {
                PeekMut::pop(head);
            }
        }
        Some((vcpu, write))
    }
}

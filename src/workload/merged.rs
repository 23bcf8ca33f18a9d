//! The streams of all vCPUs in one order, for the virtual clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::spec::StreamSpec;
use super::stream::WriteStream;
use super::write::PageWrite;
use crate::error::Result;

/// Writes generated at a time for a vCPU.
const BATCH: usize = 1024;

/// The writes of all vCPUs, ordered by (time, vCPU).
#[derive(Debug)]
pub struct MergedStream {
    vcpus: Vec<Vcpu>,
    /// The next write of every vCPU whose stream has not ended: (time, vCPU), earliest on top.
    heads: BinaryHeap<Reverse<(u64, u32)>>,
}

/// A vCPU's stream and its writes that are generated and not yet handed out.
#[derive(Debug)]
struct Vcpu {
    stream: WriteStream,
    batch: Vec<PageWrite>,
    next: usize,
}

impl Vcpu {
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
    /// A specification that [`StreamSpec::check`] refuses.
    pub fn new(spec: &StreamSpec) -> Result<MergedStream> {
        let vcpus = (0..spec.vcpus)
            .map(|vcpu| {
                Ok(Vcpu {
                    stream: WriteStream::new(spec, vcpu)?,
                    batch: Vec::with_capacity(BATCH),
                    next: 0,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut merged = MergedStream {
            vcpus,
            heads: BinaryHeap::new(),
        };
        merged.find_heads();
        Ok(merged)
    }

    fn find_heads(&mut self) {
        self.heads = (0u32..)
            .zip(&mut self.vcpus)
            .filter_map(|(number, vcpu)| vcpu.peek().map(|w| Reverse((w.at_ns, number))))
            .collect();
    }

    /// Drops the writes before `at_ns`, as [`WriteStream::skip_to`] does.
    pub fn skip_to(&mut self, at_ns: u64) {
        for vcpu in &mut self.vcpus {
            while let Some(write) = vcpu.peek() {
                if write.at_ns >= at_ns {
                    break;
                }
                let due = &vcpu.batch[vcpu.next..];
                vcpu.next += due.partition_point(|w| w.at_ns < at_ns);
            }
        }
        self.find_heads();
    }

    /// The next write if it is due before `until_ns`, with its vCPU.
    #[inline]
    pub fn next_until(&mut self, until_ns: u64) -> Option<(u32, PageWrite)> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((at_ns, number)) = *head;
        if at_ns >= until_ns {
            return None;
        }
        let vcpu = &mut self.vcpus[number as usize];
        let write = vcpu.batch[vcpu.next];
        vcpu.next += 1;
        match vcpu.peek() {
            Some(next) => *head = Reverse((next.at_ns, number)),
            None => {
                PeekMut::pop(head);
            }
        }
        Some((number, write))
    }
}

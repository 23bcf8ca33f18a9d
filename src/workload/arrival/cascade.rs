//! Arrivals of the b-model.

use super::law::Cascade;
use crate::units::PAGE_SIZE;
use crate::workload::random::{Purpose, nth_word, sub_seed, unit};
use crate::workload::write::PageWrite;

/// The b-model's writes of one vCPU: spans one after another, each with exactly its writes.
///
/// A span's tree of halves is walked depth first, so memory is one node per level. Which half of a
/// node is the larger is the guest's (all vCPUs agree); the number of writes in it is whole, and
/// the part that is left over goes either way at random, per vCPU.
#[derive(Debug)]
pub(in crate::workload) struct Cascading {
    law: Cascade,
    /// Writes per second over the page size, as a fraction of integers, is `rate / PAGE_SIZE`.
    rate: u64,
    vcpus: u64,
    vcpu: u64,
    side_seed: u64,
    rounding_seed: u64,
    /// The next span.
    span: u64,
    /// Nodes still to be split or handed out, the next one on top.
    stack: Vec<Node>,
    /// The slot being handed out: start, writes, writes done.
    slot: (u64, u64, u64),
}

/// An interval of the current span.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// 1 for the span, 2 n and 2 n + 1 for the halves of n.
    number: u64,
    level: u32,
    start_ns: u64,
    writes: u64,
}

impl Cascading {
    pub(super) fn new(law: Cascade, rate: u64, vcpus: u32, vcpu: u32, seed: u64) -> Cascading {
        Cascading {
            law,
            rate,
            vcpus: u64::from(vcpus),
            vcpu: u64::from(vcpu),
            side_seed: sub_seed(seed, Purpose::Phase, 0),
            rounding_seed: sub_seed(seed, Purpose::Instant, u64::from(vcpu)),
            span: 0,
            stack: Vec::with_capacity(law.levels as usize + 2),
            slot: (0, 0, 0),
        }
    }

    /// Writes of this vCPU before span `span`: of the guest's writes i, numbered through, it has
    /// those with i mod vcpus = vcpu.
    fn writes_before(&self, span: u64) -> u64 {
        let page_ns = PAGE_SIZE as u128 * 1_000_000_000;
        let end_ns = u128::from(self.law.span_ns()) * u128::from(span);
        let all = u128::from(self.rate) * end_ns / page_ns;
        let own = (all + u128::from(self.vcpus - 1 - self.vcpu)) / u128::from(self.vcpus);
        u64::try_from(own).unwrap_or(u64::MAX)
    }

    /// Appends `count` writes with their times set.
    pub(super) fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        let mut left = count as u64;
        while left > 0 {
            let (start, writes, done) = self.slot;
            let now = (writes - done).min(left);
            // Evenly spaced, the vCPUs' writes between each other's.
            let parts = writes * self.vcpus * 2;
            let step = u128::from(self.law.slot_ns);
            out.extend((done..done + now).map(|i| {
                let part = 2 * (i * self.vcpus + self.vcpu) + 1;
                PageWrite::at(
                    start.saturating_add((step * u128::from(part) / u128::from(parts)) as u64),
                )
            }));
            self.slot.2 += now;
            left -= now;
            if left > 0 && !self.next_slot() {
                return;
            }
        }
    }

    /// Walks to the next slot that has writes.
    fn next_slot(&mut self) -> bool {
        loop {
            let Some(node) = self.stack.pop() else {
                let start = self.span.checked_mul(self.law.span_ns());
                let Some(start_ns) = start else {
                    return false;
                };
                let writes = self.writes_before(self.span + 1) - self.writes_before(self.span);
                self.span += 1;
                self.stack.push(Node {
                    number: 1,
                    level: 0,
                    start_ns,
                    writes,
                });
                continue;
            };
            if node.writes == 0 {
                continue;
            }
            if node.level == self.law.levels {
                self.slot = (node.start_ns, node.writes, 0);
                return true;
            }
            self.split(node);
        }
    }

    fn split(&mut self, node: Node) {
        // Nodes are numbered through over all spans.
        let index = (self.span << (self.law.levels + 1)).wrapping_add(node.number);
        let exact = node.writes as f64 * self.law.b;
        let whole = exact as u64;
        let up = unit(nth_word(self.rounding_seed, index)) < exact - whole as f64;
        let larger = (whole + u64::from(up)).min(node.writes);
        let left_is_larger = nth_word(self.side_seed, index) >> 63 == 0;
        let left = if left_is_larger {
            larger
        } else {
            node.writes - larger
        };
        let level = node.level + 1;
        let half = self.law.span_ns() >> level;
        self.stack.push(Node {
            number: 2 * node.number + 1,
            level,
            start_ns: node.start_ns.saturating_add(half),
            writes: node.writes - left,
        });
        self.stack.push(Node {
            number: 2 * node.number,
            level,
            start_ns: node.start_ns,
            writes: left,
        });
    }
}

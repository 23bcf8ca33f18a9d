//! What slowing the guest down took from it.

use serde::{Deserialize, Serialize};

/// What a guest lost by being slowed down. A write that falls due while its vCPU sleeps is not executed,
/// then or later: a throttled guest does less, it does not do the same afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Throttled {
    /// Page writes that fell due while their vCPU slept, and were never executed.
    pub writes_lost: u64,
    /// Time that vCPUs slept, summed over them, seconds.
    pub stall_s: f64,
}

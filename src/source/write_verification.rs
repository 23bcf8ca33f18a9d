//! Whether a guest that stayed has every write that its vCPUs made, and no other.

use crate::error::Result;
use crate::guest::content;
use crate::guest::vcpu::LostWrites;
use crate::guest::write::{self, WriteExtent};
use crate::host::HostSpec;
use crate::machine::{RESERVE_BYTES, available_memory};
use crate::memory::GuestMemory;
use crate::source::tracked_guest::TrackedGuest;
use crate::workload::{PageWrite, WriteStream};

/// Writes drawn from a stream at once.
const BATCH: usize = 4096;

/// Builds the guest's memory a second time, from its first content and the writes that each vCPU
/// counts, without those that it lost, and compares. The vCPUs have ended. `None` if that can't be told: see
/// [`crate::results::Guest::writes_verified`].
///
/// # Errors
/// If the streams or the second memory can't be made.
pub fn writes_verified(
    spec: &HostSpec,
    guest: &TrackedGuest,
    executed: &[u64],
    lost: &[LostWrites],
) -> Result<Option<bool>> {
    let scenario = &spec.scenario;
    let size = scenario.guest.memory;
    let commute = guest.extent == WriteExtent::Word || executed.len() == 1;
    if !commute || available_memory()? < size.0.saturating_add(RESERVE_BYTES) {
        return Ok(None);
    }
    let again = GuestMemory::new(size, false)?;
    content::fill(&again, &scenario.guest.content, scenario.guest.seed);
    let mut batch: Vec<PageWrite> = Vec::with_capacity(BATCH);
    for (vcpu, (count, lost)) in (0..).zip(executed.iter().zip(lost)) {
        let mut stream = WriteStream::new(&spec.stream_spec(), vcpu)?;
        stream.skip_to(spec.start_offset_ns);
        let mut numbers = 0..count + lost.count();
        let mut is_lost = lost.test();
        let mut left = count + lost.count();
        while left > 0 {
            batch.clear();
            stream.fill(&mut batch, left.min(BATCH as u64) as usize);
            if batch.is_empty() {
                // It counts more writes than its stream has.
                return Ok(Some(false));
            }
            for (page_write, number) in batch.iter().zip(&mut numbers) {
                if is_lost(number) {
                    continue;
                }
                write::execute(&again, page_write, guest.extent);
            }
            left -= batch.len() as u64;
        }
    }
    Ok(Some(again.hash() == guest.memory.hash()))
}

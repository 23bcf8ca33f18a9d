//! Where things stand in a guest's physical memory.

use crate::units::PAGE_SIZE;

/// The program.
pub const PROGRAM: u64 = 0x10_0000;
/// What the host tells the program; the program never writes here.
pub const PARAMETERS: u64 = 0x20_0000;
/// What the program tells the host; the host never writes here.
pub const STATUS: u64 = 0x20_1000;
/// The interrupt descriptor table, one page.
pub const IDT: u64 = 0x20_2000;
/// The end of the stack, one page.
pub const STACK_TOP: u64 = 0x20_4000;
/// Counts of writes by how late they were, 8 bytes each.
pub const HISTOGRAM: u64 = 0x20_4000;
/// Buckets of the histogram.
pub const BUCKETS: usize = 1024;
/// Page tables: one page for the top, one for the second level, then one for each GiB.
pub const PAGE_TABLES: u64 = 0x40_0000;
/// The ring of page writes.
pub const RING: u64 = 0x80_0000;
/// Entries in the ring, a power of two.
pub const RING_ENTRIES: u64 = 1 << 17;
/// Bytes of an entry: time, address, value.
pub const ENTRY_LEN: u64 = 24;
/// The scenario's guest memory begins here: what is before it is the program's.
pub const GUEST_MEMORY: u64 = 16 << 20;

/// Memory above this stands beyond 4 GiB, on QEMU's `pc` machine with more than 3.5 GiB of it.
const LOW_MEMORY: u64 = 3 << 30;
/// The `pc` machine splits its memory from this size on.
const SPLIT_FROM: u64 = 0xe000_0000;
const FOUR_GIB: u64 = 4 << 30;
const GIB: u64 = 1 << 30;
const LARGE_PAGE: u64 = 2 << 20;

/// A machine's memory: the program's part and the scenario's guest memory behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// All of it, bytes.
    pub ram_bytes: u64,
}

impl Layout {
    /// The layout for so much guest memory, bytes. QEMU takes whole MiB.
    pub fn of(guest_memory: u64) -> Layout {
        Layout {
            ram_bytes: (GUEST_MEMORY + guest_memory).next_multiple_of(1 << 20),
        }
    }

    /// Where in QEMU's block of memory a page of guest memory stands, bytes.
    pub fn offset(self, page: u64) -> u64 {
        GUEST_MEMORY + page * PAGE_SIZE as u64
    }

    /// The physical address at which the guest sees a page of its memory.
    pub fn address(self, page: u64) -> u64 {
        let offset = self.offset(page);
        match self.ram_bytes >= SPLIT_FROM && offset >= LOW_MEMORY {
            true => offset - LOW_MEMORY + FOUR_GIB,
            false => offset,
        }
    }

    /// Page tables that map every address to itself, in pages of 2 MiB (Intel SDM volume 3, "4-Level
    /// Paging").
    pub fn page_tables(self) -> Vec<u8> {
        const PRESENT_AND_WRITABLE: u64 = 3;
        const LARGE: u64 = 0x80;
        let reaches = match self.ram_bytes >= SPLIT_FROM {
            true => self.ram_bytes - LOW_MEMORY + FOUR_GIB,
            // The ROM and the local APIC stand below 4 GiB.
            false => FOUR_GIB,
        };
        let directories = reaches.div_ceil(GIB);
        let table = |index: u64| PAGE_TABLES + index * PAGE_SIZE as u64;
        let mut entries = vec![0u64; 1024];
        entries[0] = table(1) | PRESENT_AND_WRITABLE;
        for directory in 0..directories {
            entries[512 + directory as usize] = table(2 + directory) | PRESENT_AND_WRITABLE;
            let large_pages = (0..GIB / LARGE_PAGE).map(|page| directory * GIB + page * LARGE_PAGE);
            entries.extend(large_pages.map(|at| at | PRESENT_AND_WRITABLE | LARGE));
        }
        entries.into_iter().flat_map(u64::to_le_bytes).collect()
    }
}

/// The most guest memory that a machine can have, bytes: as much as the page tables' room maps.
pub const MAX_GUEST_MEMORY: u64 = 512 * GIB - FOUR_GIB - GUEST_MEMORY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_in_anothers_place_whatever_the_size() {
        assert!(PROGRAM + super::super::code::program().len() as u64 <= PARAMETERS);
        assert!(HISTOGRAM + 8 * BUCKETS as u64 <= PAGE_TABLES);
        const { assert!(RING + RING_ENTRIES * ENTRY_LEN <= GUEST_MEMORY) };
        for memory in [
            1 << 20,
            3 << 30,
            (7 << 29) + 4096,
            64 << 30,
            MAX_GUEST_MEMORY,
        ] {
            let layout = Layout::of(memory);
            let tables = layout.page_tables();
            assert!(PAGE_TABLES + tables.len() as u64 <= RING, "{memory}");
            let last = memory / PAGE_SIZE as u64 - 1;
            let mapped = (tables.len() as u64 / PAGE_SIZE as u64 - 2) * GIB;
            assert!(layout.address(last) < mapped, "{memory}");
            assert!(layout.offset(last) < layout.ram_bytes, "{memory}");
            let split = layout.ram_bytes >= SPLIT_FROM;
            assert_eq!(layout.address(last) >= FOUR_GIB, split, "{memory}");
        }
    }
}

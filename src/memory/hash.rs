//! The hash by which both sides compare their memory.

use blake3::hazmat::{self, HasherExt, Mode};

use super::mapping::GuestMemory;
use crate::units::PAGE_SIZE;

/// Bytes hashed at once from a private copy: a power of two that fits the second-level cache.
const HASH_CHUNK: usize = 64 << 10;

impl GuestMemory {
    /// BLAKE3 of the whole memory, in parallel. It means something only while nothing writes.
    ///
    /// Pieces are copied to a private buffer and hashed there, out of the cache, so the hash is
    /// sound whoever writes, and the copy costs no further memory traffic.
    pub fn hash(&self) -> [u8; 32] {
        if self.len() <= HASH_CHUNK {
            let mut buffer = vec![0; self.len()];
            self.copy_out(0, &mut buffer);
            return *blake3::hash(&buffer).as_bytes();
        }
        let left = hazmat::left_subtree_len(self.len() as u64) as usize;
        let (a, b) = rayon::join(
            || self.hash_subtree(0, left),
            || self.hash_subtree(left, self.len() - left),
        );
        *hazmat::merge_subtrees_root(&a, &b, Mode::Hash).as_bytes()
    }

    /// The chaining value of a subtree of BLAKE3's tree (BLAKE3 paper, section 2.1).
    fn hash_subtree(&self, offset: usize, len: usize) -> hazmat::ChainingValue {
        if len <= HASH_CHUNK {
            let mut buffer = [0; HASH_CHUNK];
            let buffer = &mut buffer[..len];
            self.copy_out((offset / PAGE_SIZE) as u64, buffer);
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(offset as u64);
            hasher.update(buffer);
            return hasher.finalize_non_root();
        }
        let left = hazmat::left_subtree_len(len as u64) as usize;
        let (a, b) = rayon::join(
            || self.hash_subtree(offset, left),
            || self.hash_subtree(offset + left, len - left),
        );
        hazmat::merge_subtrees_non_root(&a, &b, Mode::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Size;

    #[test]
    fn hash_is_blake3_of_the_bytes() {
        for pages in [1, 16, 17, 31, 100, 1000] {
            let memory = GuestMemory::new(Size(pages * PAGE_SIZE as u64), false).unwrap();
            for page in 0..pages {
                memory.write_word(page, (page as usize * 8) % PAGE_SIZE, page + 1);
            }
            let mut bytes = vec![0; memory.len()];
            memory.copy_out(0, &mut bytes);
            assert_eq!(memory.hash(), *blake3::hash(&bytes).as_bytes());
            memory.write_word(pages - 1, PAGE_SIZE - 8, 99);
            assert_ne!(memory.hash(), *blake3::hash(&bytes).as_bytes());
        }
    }
}

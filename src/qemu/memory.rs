//! The memory of a running QEMU, read and written from outside.

use std::ffi::c_void;
use std::io;

use crate::error::{Error, Result};

/// Bytes moved by one call, so that none is refused for its length.
const PIECE: usize = 64 << 20;

/// The block of memory that the guest of another process has as its own.
#[derive(Debug, Clone, Copy)]
pub struct ProcessMemory {
    pid: i32,
    /// Where the block begins in that process.
    base: u64,
}

impl ProcessMemory {
    /// Guest memory that begins at `base` in process `pid`: what QEMU says of it (`gpa2hva`).
    pub fn at(pid: u32, base: u64) -> ProcessMemory {
        ProcessMemory {
            pid: pid as i32,
            base,
        }
    }

    /// Copies bytes out, from so many bytes after the beginning.
    ///
    /// # Errors
    /// If the process has ended, or the kernel keeps its memory from this one.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.pieces(offset, into.len(), |remote, at| {
            let piece = &mut into[at..at + remote.iov_len];
            let local = libc::iovec {
                iov_base: piece.as_mut_ptr().cast(),
                iov_len: piece.len(),
            };
            // SAFETY: the local buffer is `piece`, borrowed for writing and as long as it says. The
            // remote one is another process's memory, which the kernel checks.
            unsafe { libc::process_vm_readv(self.pid, &local, 1, remote, 1, 0) }
        })
    }

    /// Copies bytes in, at so many bytes after the beginning.
    ///
    /// # Errors
    /// As [`ProcessMemory::read`].
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<()> {
        self.pieces(offset, from.len(), |remote, at| {
            let piece = &from[at..at + remote.iov_len];
            let local = libc::iovec {
                iov_base: piece.as_ptr().cast_mut().cast(),
                iov_len: piece.len(),
            };
            // SAFETY: the local buffer is `piece`, which is only read and as long as it says. The
            // remote one is another process's memory, which the kernel checks.
            unsafe { libc::process_vm_writev(self.pid, &local, 1, remote, 1, 0) }
        })
    }

    /// A word.
    ///
    /// # Errors
    /// As [`ProcessMemory::read`].
    pub fn word(&self, offset: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(offset, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn pieces(
        &self,
        offset: u64,
        len: usize,
        mut copy: impl FnMut(&libc::iovec, usize) -> isize,
    ) -> Result<()> {
        let mut done = 0;
        while done < len {
            let remote = libc::iovec {
                iov_base: (self.base + offset + done as u64) as *mut c_void,
                iov_len: PIECE.min(len - done),
            };
            match copy(&remote, done) {
                copied if copied > 0 => done += copied as usize,
                0 => return Err(Error::CannotRun("QEMU's memory ends too early".to_owned())),
                _ => {
                    let why = io::Error::last_os_error();
                    return Err(Error::io("QEMU's memory, from outside", why));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_written_where_it_stands() {
        let mut block = vec![0u8; 3 << 20];
        let memory = ProcessMemory::at(std::process::id(), block.as_mut_ptr() as u64);
        let text = [7u8, 8, 9];
        memory.write((2 << 20) + 1, &text).unwrap();
        let mut back = [0; 5];
        memory.read(2 << 20, &mut back).unwrap();
        assert_eq!(back, [0, 7, 8, 9, 0]);
        assert_eq!(memory.word(2 << 20).unwrap(), 0x0908_0700);
        assert_eq!(block[(2 << 20) + 2], 8);
        let nowhere = ProcessMemory::at(std::process::id(), 4096);
        assert!(nowhere.word(0).is_err());
    }
}

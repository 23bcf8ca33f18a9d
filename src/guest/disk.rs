//! The guest's disk: a file of a host that has no name, and is gone with the last process that has it open.

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    FallocateFlags, OFlags, SeekFrom, fallocate, fcntl_getfl, fcntl_setfl, seek, statvfs,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::content::{self, ContentSpec, Layout};
use super::mix::sub_seed;
use crate::error::{Error, Result};
use crate::memory::{GuestMemory, PageRun};
use crate::units::{PAGE_SIZE, Size};
use crate::workload::PageWrite;

/// Bytes that are filled and hashed at a time.
const CHUNK: usize = 4 << 20;

/// Names the disk among what is drawn from a guest's seed.
const DOMAIN: u64 = 0x6469_736b;

/// How a host reads and writes a guest's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskIo {
    /// Through the page cache.
    #[default]
    Cached,
    /// Past it (`O_DIRECT`).
    Direct,
}

/// A guest's disk on one host. Blocks are as long as pages.
#[derive(Debug)]
pub struct Disk {
    file: File,
    blocks: u64,
    is_direct: bool,
}

/// The folder for disks that a scenario names, or else this host's for temporary files.
pub fn folder(named: Option<&str>) -> PathBuf {
    named.map_or_else(std::env::temp_dir, PathBuf::from)
}

/// Refuses so many bytes of disks for which a folder of this host has no room; `field` and `value` say whose.
///
/// # Errors
/// With what they need and what there is, or that there is no such folder.
pub fn check_room(folder: &Path, bytes: u64, field: &str, value: impl Display) -> Result<()> {
    let file_system = statvfs(folder).map_err(|error| {
        let allowed = format_args!("a folder on this host ({})", io::Error::from(error));
        Error::invalid("storage.folder", folder.display(), allowed)
    })?;
    let have = file_system.f_bavail.saturating_mul(file_system.f_frsize);
    Error::unless(
        bytes <= have,
        field,
        value,
        format_args!(
            "disks need {} MiB in {}, which has {} MiB free",
            bytes.div_ceil(1 << 20),
            folder.display(),
            have >> 20
        ),
    )
}

impl Disk {
    /// A disk of zeros that takes no room yet.
    ///
    /// # Errors
    /// If there is no room for all of it, the file can't be made, or its file system reads and writes
    /// through the page cache only.
    pub fn create(folder: &Path, size: Size, io: DiskIo) -> Result<Disk> {
        check_room(folder, size.0, "storage.size", size)?;
        let made = |error| Error::io(format!("making a disk in {}", folder.display()), error);
        let file = tempfile::tempfile_in(folder).map_err(made)?;
        file.set_len(size.0).map_err(made)?;
        let is_direct = io == DiskIo::Direct;
        if is_direct {
            let set =
                fcntl_getfl(&file).and_then(|flags| fcntl_setfl(&file, flags | OFlags::DIRECT));
            let allowed = format_args!(
                "\"cached\" in {}, whose file system knows no other",
                folder.display()
            );
            Error::unless(set.is_ok(), "storage.io", "\"direct\"", allowed)?;
        }
        Ok(Disk {
            file,
            blocks: size.pages(),
            is_direct,
        })
    }

    /// Blocks that it has.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Fills an empty disk; what is zero stays a hole.
    ///
    /// # Errors
    /// What the file system says.
    pub fn fill(&self, content: &ContentSpec, seed: u64) -> Result<()> {
        let seed = sub_seed(seed, DOMAIN, 0);
        let layout = Layout::new(self.blocks, content, seed);
        let staging = self.staging()?;
        for first in (0..self.blocks).step_by(CHUNK / PAGE_SIZE) {
            let blocks = staging.pages().min(self.blocks - first);
            content::fill_part(&staging, blocks, first, &layout, seed);
            let (mut from, mut at) = (None, 0);
            while at <= blocks {
                let is_data = at < blocks && !staging.is_zero(at);
                match from {
                    Some(start) if !is_data => {
                        self.write(
                            &staging,
                            PageRun {
                                first: start,
                                pages: at - start,
                            },
                            first + start,
                        )
                        .map_err(|error| Error::io("filling the disk", error))?;
                        from = None;
                    }
                    None if is_data => from = Some(at),
                    _ => {}
                }
                at += 1;
            }
        }
        Ok(())
    }

    /// Waits until all of it is on the storage below: what a guest has had for long is not on its way there while
    /// it migrates.
    ///
    /// # Errors
    /// What the file system says.
    pub fn settle(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|error| Error::io("filling the disk", error))
    }

    /// Executes writes of whole blocks, as [`Disk::execute`] does, on a disk that nothing else writes to.
    ///
    /// # Errors
    /// What the file system says.
    pub fn replay<'a>(&self, writes: impl IntoIterator<Item = &'a PageWrite>) -> io::Result<()> {
        let block = block()?;
        writes.into_iter().try_for_each(|write| {
            write_content(&block, write);
            self.execute(&block, write)
        })
    }

    /// Writes the content of a write, which stands in the first page of `block`, to where it belongs.
    ///
    /// # Errors
    /// What the file system says.
    pub fn execute(&self, block: &GuestMemory, write: &PageWrite) -> io::Result<()> {
        self.write(block, PageRun { first: 0, pages: 1 }, write.page)
    }

    /// Whether some blocks hold nothing: nothing was ever written to them.
    ///
    /// # Errors
    /// What the file system says.
    pub fn is_hole(&self, blocks: PageRun) -> io::Result<bool> {
        let bytes = |blocks| blocks * PAGE_SIZE as u64;
        let (start, end) = (bytes(blocks.first), bytes(blocks.end()));
        let at = |error| told("reading", start, error);
        let is_hole = match seek(&self.file, SeekFrom::Data(start)) {
            Ok(data) => data >= end,
            Err(Errno::NXIO) => true,
            // A file system that knows of no holes.
            Err(Errno::INVAL) => false,
            Err(error) => return Err(at(error.into())),
        };
        // Behind its end there is nothing either.
        let len = if is_hole {
            self.file.metadata().map_err(at)?.len()
        } else {
            end
        };
        match len < end {
            true => Err(at(ended_after(len.saturating_sub(start), end - start))),
            false => Ok(is_hole),
        }
    }

    /// Reads blocks from `first` on into the pages of `into` that a run names. Nobody else uses these.
    ///
    /// # Errors
    /// What the file system says, or that the file ends before.
    pub fn read(&self, first: u64, memory: &GuestMemory, into: PageRun) -> io::Result<()> {
        let mut done = 0;
        let bytes = bytes_of(memory, into);
        while done < bytes.1 {
            let at = first * PAGE_SIZE as u64 + done as u64;
            // SAFETY: the rest of the run's pages, which `memory` has mapped; nobody else uses them.
            let to = unsafe { std::slice::from_raw_parts_mut(bytes.0.add(done), bytes.1 - done) };
            match self.file.read_at(to, at) {
                Ok(0) => {
                    let done = done as u64;
                    return Err(told(
                        "reading",
                        at - done,
                        ended_after(done, bytes.1 as u64),
                    ));
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(told("reading", at, error)),
            }
        }
        Ok(())
    }

    /// Writes pages of `memory` to the blocks from `first` on. Nobody else uses these pages.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, memory: &GuestMemory, pages: PageRun, first: u64) -> io::Result<()> {
        let (start, len) = bytes_of(memory, pages);
        // SAFETY: the run's pages, which `memory` has mapped; nobody else uses them.
        let from = unsafe { std::slice::from_raw_parts(start, len) };
        self.write_bytes(from, first)
    }

    /// Writes blocks that came in a buffer; past the page cache from `staging`, which is aligned.
    ///
    /// # Errors
    /// What the file system says.
    ///
    /// # Panics
    /// If they are more than `staging` has pages, or none whole.
    pub fn write_from(&self, blocks: &[u8], staging: &GuestMemory, first: u64) -> io::Result<()> {
        if !self.is_direct {
            return self.write_bytes(blocks, first);
        }
        staging.copy_in(0, blocks);
        let pages = (blocks.len() / PAGE_SIZE) as u64;
        self.write(staging, PageRun { first: 0, pages }, first)
    }

    /// Has the file system find room for blocks that are about to be written in one go, which costs less than
    /// page by page. Where it can't, the write does or says why not.
    pub fn allocate(&self, blocks: PageRun) {
        let bytes = |blocks| blocks * PAGE_SIZE as u64;
        let _ = fallocate(
            &self.file,
            FallocateFlags::KEEP_SIZE,
            bytes(blocks.first),
            bytes(blocks.pages),
        );
    }

    fn write_bytes(&self, from: &[u8], first: u64) -> io::Result<()> {
        let at = first * PAGE_SIZE as u64;
        self.file
            .write_all_at(from, at)
            .map_err(|error| told("writing", at, error))
    }

    /// BLAKE3 of all of it. It means something only while nothing writes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn hash(&self) -> Result<String> {
        let staging = self.staging()?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; CHUNK];
        for first in (0..self.blocks).step_by(CHUNK / PAGE_SIZE) {
            let run = PageRun {
                first: 0,
                pages: staging.pages().min(self.blocks - first),
            };
            self.read(first, &staging, run)
                .map_err(|error| Error::io("hashing", error))?;
            let bytes = &mut buffer[..run.pages as usize * PAGE_SIZE];
            staging.copy_out(0, bytes);
            hasher.update_rayon(bytes);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    fn staging(&self) -> Result<GuestMemory> {
        GuestMemory::new(
            Size((CHUNK as u64).min(self.blocks * PAGE_SIZE as u64)),
            false,
        )
    }
}

/// A file is shorter than the disk.
fn ended_after(done: u64, all: u64) -> io::Error {
    let short = format!("it ended after {done} of {all} bytes");
    io::Error::new(io::ErrorKind::UnexpectedEof, short)
}

/// One page of memory of its own, for a block's content.
///
/// # Errors
/// If there is no memory.
pub fn block() -> io::Result<GuestMemory> {
    GuestMemory::new(Size(PAGE_SIZE as u64), false).map_err(io::Error::other)
}

/// What a write puts in its block, drawn from its value: the last one to a block is what the block holds.
pub fn write_content(block: &GuestMemory, write: &PageWrite) {
    super::write::fill_page(block, write.value);
}

fn bytes_of(memory: &GuestMemory, run: PageRun) -> (*mut u8, usize) {
    assert!(
        run.pages > 0 && run.end() <= memory.pages(),
        "{run:?} lies outside"
    );
    (memory.page_ptr(run.first), run.pages as usize * PAGE_SIZE)
}

/// An error of a disk, with what was being done and where.
fn told(doing: &str, at: u64, error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("the guest's disk, {doing} at byte {at}: {error}"),
    )
}

#[cfg(test)]
mod tests;

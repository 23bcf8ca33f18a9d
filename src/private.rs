//! A private folder for files that hold secrets, overwritten before it goes.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// A file system in memory: keys in it reach no disk, unless it is swapped out.
const IN_MEMORY: &str = "/dev/shm";

/// A folder that nobody else reads, in memory where there is a file system for that. Dropping it wipes it.
#[derive(Debug)]
pub struct PrivateFolder {
    path: PathBuf,
    /// None once wiped.
    folder: Mutex<Option<TempDir>>,
}

impl PrivateFolder {
    /// Makes it, empty.
    ///
    /// # Errors
    /// If there is no place for it.
    pub fn make() -> Result<PrivateFolder> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("migtax-");
        builder.permissions(Permissions::from_mode(0o700));
        let folder = match Path::new(IN_MEMORY).is_dir() {
            true => builder.tempdir_in(IN_MEMORY),
            false => builder.tempdir(),
        }
        .map_err(|error| Error::io("a private folder for keys", error))?;
        Ok(PrivateFolder {
            path: folder.path().to_owned(),
            folder: Mutex::new(Some(folder)),
        })
    }

    /// Where it is, or was.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Overwrites its files and removes it; nothing, the second time. What can't be removed is named on
    /// standard error, and tried again by the drop.
    pub fn wipe(&self) {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if folder.is_none() {
            return;
        }
        match wipe(&self.path) {
            Ok(()) => *folder = None,
            Err(error) => eprintln!("cannot wipe {}: {error}", self.path.display()),
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Writes a file that nobody else reads.
///
/// # Errors
/// If it exists or can't be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Error::writing(path, error))
}

/// Overwrites every file below a folder with zeros and removes it; one that is not there has none. Others may do the
/// same meanwhile, or write a last file.
///
/// # Errors
/// What the operating system says.
pub fn wipe(folder: &Path) -> io::Result<()> {
    let once = || match overwrite_all(folder).and_then(|()| fs::remove_dir_all(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    match once() {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => once(),
        done => done,
    }
}

fn overwrite_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match overwrite(&entry) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn overwrite(entry: &fs::DirEntry) -> io::Result<()> {
    let path = entry.path();
    if entry.file_type()?.is_dir() {
        return overwrite_all(&path);
    }
    let length = fs::metadata(&path)?.len();
    let mut file = OpenOptions::new().write(true).open(&path)?;
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
    // Over the old bytes, before the file's blocks are given away.
    file.sync_data()
}

//! Writing a report so that a folder holds all of it or what it held before.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file of a report: its name and content.
pub type File = (String, Vec<u8>);

/// Removes what was begun, unless it was kept.
struct Scratch<'a> {
    folder: PathBuf,
    made: Option<&'a Path>,
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // Nothing more can be done about a folder that can't be removed; the first error stands.
        let _ = fs::remove_dir_all(&self.folder);
        if let Some(folder) = self.made {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Writes files into `folder`, which is made if need be: first under a temporary name inside it,
/// then each renamed into place in the order given. Other files in the folder stay.
///
/// # Errors
///
/// An input/output error; what was half-written has then been removed.
pub fn write_files(folder: &Path, files: &[File]) -> Result<Vec<PathBuf>> {
    let existed = folder.exists();
    fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    let mut scratch = Scratch {
        folder: folder.join(format!(".report-{}.tmp", std::process::id())),
        made: (!existed).then_some(folder),
    };
    fs::create_dir_all(&scratch.folder).map_err(|e| Error::writing(&scratch.folder, e))?;
    for (name, content) in files {
        let path = scratch.folder.join(name);
        fs::write(&path, content).map_err(|e| Error::writing(path, e))?;
    }
    let mut written = Vec::with_capacity(files.len());
    for (name, _) in files {
        let path = folder.join(name);
        fs::rename(scratch.folder.join(name), &path).map_err(|e| Error::writing(&path, e))?;
        scratch.made = None;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_all_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        let bad = [("a".to_owned(), vec![1]), ("no/such".to_owned(), vec![2])];
        assert!(write_files(&folder, &bad).is_err());
        assert!(!folder.exists());

        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("results.json"), "kept").unwrap();
        assert!(write_files(&folder, &bad).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

        let good = [("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])];
        let written = write_files(&folder, &good).unwrap();
        assert_eq!(written, [folder.join("a"), folder.join("b")]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    }
}

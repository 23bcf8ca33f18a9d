//! Writing a report so that a folder holds all of it or what it held before.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file of a report: its name and content.
pub type File = (String, Vec<u8>);

/// Removes the folder that was made for a report, unless something stands in it.
struct Fresh<'a>(&'a Path);

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        // Nothing more can be done about a folder that can't be removed; the first error stands.
        let _ = fs::remove_dir(self.0);
    }
}

/// Writes files into `folder`, which is made if need be: first into a folder of their own inside it,
/// then each renamed into place in the order given. Other files in the folder stay; a link of a
/// file's name is replaced, not followed.
///
/// # Errors
///
/// An input/output error; what was half-written has then been removed.
pub fn write_files(folder: &Path, files: &[File]) -> Result<Vec<PathBuf>> {
    let existed = folder.exists();
    fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    let _fresh = (!existed).then_some(Fresh(folder));
    // Removed before the folder that it is in: what is declared later is dropped first.
    let aside = tempfile::tempdir_in(folder).map_err(|e| Error::writing(folder, e))?;
    for (name, content) in files {
        fs::write(aside.path().join(name), content)
            .map_err(|e| Error::writing(folder.join(name), e))?;
    }
    let mut written = Vec::with_capacity(files.len());
    for (name, _) in files {
        let path = folder.join(name);
        fs::rename(aside.path().join(name), &path).map_err(|e| Error::writing(&path, e))?;
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

    /// Whoever can write to the folder can't make a report write elsewhere.
    #[test]
    fn no_link_in_the_folder_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (root.path().join("run"), root.path().join("other"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("a"), "other").unwrap();
        let formerly = format!(".report-{}.tmp", std::process::id());
        std::os::unix::fs::symlink(&elsewhere, folder.join(formerly)).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("a"), folder.join("a")).unwrap();
        write_files(&folder, &[("a".to_owned(), vec![1])]).unwrap();
        assert!(fs::symlink_metadata(folder.join("a")).unwrap().is_file());
        assert_eq!(fs::read_to_string(elsewhere.join("a")).unwrap(), "other");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    }
}

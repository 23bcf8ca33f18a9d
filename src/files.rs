//! Files that the user names, read within limits; files written whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::error::{Error, Result};

/// All of a file, of `most` bytes at most. The limit holds for devices and pipes too, whose length
/// nobody knows before they have been read.
///
/// # Errors
/// [`Error::Invalid`] if there is no such file, or it is longer; [`Error::Io`] if it can't be read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let bytes = beginning(path, most.saturating_add(1))?;
    if bytes.len() as u64 > most {
        return Err(Error::Invalid(format!(
            "{}: more than {most} bytes, which is the most that is read",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The first `most` bytes of a file, or all of it.
///
/// # Errors
/// [`Error::Invalid`] if there is no such file; [`Error::Io`] if it can't be read.
pub fn beginning(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|e| Error::reading(path, e))?;
    Ok(bytes)
}

/// The path that `name` is, where it could have been the name of a `kind` that is embedded; `known`
/// are those.
///
/// # Errors
/// [`Error::Invalid`] if it looks like a name and there is no such file.
pub fn path_of<'a>(
    kind: &str,
    name: &'a str,
    known: impl Iterator<Item = &'static str>,
) -> Result<&'a Path> {
    let path = Path::new(name);
    let looks_like_a_path = path.components().count() > 1 || path.extension().is_some();
    if looks_like_a_path || path.exists() {
        return Ok(path);
    }
    let known: Vec<&str> = known.collect();
    Err(Error::Invalid(format!(
        "there is no {kind} \"{name}\": a path, or one of {}",
        known.join(", ")
    )))
}

/// The folder that a file is in.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes a file aside under a name of its own, flushes it to the device and renames it into place,
/// so that a reader meets the old file or the new one and a link there is replaced, not followed.
/// Makes its folder first.
///
/// # Errors
/// [`Error::Io`] if any step fails; the old file is then still there, and nothing beside it.
pub fn write_atomically(file: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(file, |out| out.write_all(bytes))
}

/// The same of what `fill` writes, piece by piece, so that a large file is not held in memory.
///
/// # Errors
/// As [`write_atomically`]; also what `fill` gives.
pub fn write_atomically_with(
    file: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let folder = folder_of(file);
    fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    let put = || {
        let mut aside = tempfile::Builder::new()
            // As of any new file: the umask takes from it what it must.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        let mut buffered = BufWriter::new(aside.as_file_mut());
        fill(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        aside.as_file().sync_all()?;
        aside.persist(file)?;
        // The rename is in the folder's own data; without this a crash could undo it.
        File::open(folder)?.sync_all()
    };
    put().map_err(|e| Error::writing(file, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_where_no_length_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("five");
        std::fs::write(&file, b"bytes").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"bytes");
        for path in [file.as_path(), Path::new("/dev/zero")] {
            let error = read(path, 4).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
            assert!(error.to_string().contains("more than 4 bytes"), "{error}");
        }
        let missing = read(&folder.path().join("none"), 4).unwrap_err();
        assert!(matches!(missing, Error::Invalid(_)), "{missing}");
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let file = folder.path().join("x.json");
        write_atomically(&file, b"old").unwrap();
        write_atomically(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        // A folder in the file's place can't be replaced.
        fs::create_dir_all(folder.path().join("y.json/full")).unwrap();
        assert!(write_atomically(&folder.path().join("y.json"), b"new").is_err());
        assert_eq!(names(), 2, "nothing is left aside");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("x.json"), folder.path().join("other"));
        fs::write(&elsewhere, b"other").unwrap();
        for aside in [&file, &folder.path().join("x.json.tmp")] {
            std::os::unix::fs::symlink(&elsewhere, aside).unwrap();
        }
        write_atomically(&file, b"new").unwrap();
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read(&elsewhere).unwrap(), b"other");
    }

    #[test]
    fn others_may_read_what_they_may_read_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let file = fs::metadata(folder.path().join(name)).unwrap();
            file.permissions().mode()
        };
        fs::write(folder.path().join("plain"), b"").unwrap();
        write_atomically(&folder.path().join("whole"), b"").unwrap();
        assert_eq!(mode("whole"), mode("plain"));
    }
}

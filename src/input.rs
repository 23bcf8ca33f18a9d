//! Reading files that the user names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// All of a file, of `most` bytes at most. The limit holds for devices and pipes too, whose length
/// nobody knows before they have been read.
///
/// # Errors
/// [`Error::Invalid`] if there is no such file, or it is longer; [`Error::Io`] if it can't be read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| Error::reading(path, e))?;
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Error::reading(path, e))?;
    if bytes.len() as u64 > most {
        return Err(Error::Invalid(format!(
            "{}: more than {most} bytes, which is the most that is read",
            path.display()
        )));
    }
    Ok(bytes)
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
}

//! The null cipher of the `copy` arm: the same copy into the record buffer, no cipher, no tag. And
//! what stands for the library of the plain data path, which has none.

use super::cipher::{Cipher, Engaged, IV_LEN, Implementation, Refused, SealError};
use crate::error::Error;
use crate::memory::{Segment, gather};

pub(super) const NULL: Implementation = Implementation {
    version,
    engaged: || Engaged {
        implementation: "copy",
        features: Vec::new(),
    },
    algorithm: None,
    cipher: |_| Ok(Box::new(Null)),
};

pub(super) const NONE: Implementation = Implementation {
    version,
    engaged: || Engaged {
        implementation: "no cipher",
        features: Vec::new(),
    },
    algorithm: None,
    cipher: |_| {
        Err(Error::CannotRun(
            "the plain data path has no cipher".to_owned(),
        ))
    },
};

fn version() -> String {
    format!("migtax {}", env!("CARGO_PKG_VERSION"))
}

struct Null;

impl Cipher for Null {
    fn seal(
        &mut self,
        _iv: &[u8; IV_LEN],
        _aad: &[u8],
        head: &[u8],
        pages: &[Segment],
        out: &mut [u8],
    ) -> Result<(), SealError> {
        gather(head, pages, out);
        Ok(())
    }

    fn open(&mut self, _iv: &[u8; IV_LEN], _aad: &[u8], _buffer: &mut [u8]) -> Result<(), Refused> {
        Ok(())
    }
}

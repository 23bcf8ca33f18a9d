//! What a library must offer to be compared: an [`Implementation`], which makes a [`Cipher`].

use crate::error::{Error, Result};
use crate::memory::Segment;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of an IV.
pub const IV_LEN: usize = 12;
/// Bytes of an authentication tag.
pub const TAG_LEN: usize = 16;
/// Bytes of the longest record: what aws-lc's C interface can express in one call (an `int`),
/// and far above the 16 MiB that scenarios allow. AES-GCM itself allows 2^36 - 32.
pub const MAX_RECORD_LEN: usize = i32::MAX as usize - TAG_LEN;

/// Why a record could not be sealed. All of these are faults of the program, not of the peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The output can't hold the record.
    #[error("a sealed record of {need} bytes does not fit an output of {have}")]
    OutputTooSmall {
        /// Bytes of the sealed record.
        need: usize,
        /// Bytes of the output.
        have: usize,
    },
    /// The record is longer than [`MAX_RECORD_LEN`].
    #[error("a record of {0} bytes is longer than {MAX_RECORD_LEN}")]
    TooLong(usize),
    /// The guard against reuse of a pair of key and IV fired.
    #[error("refused to seal with a key and IV that may have been used: {0}")]
    Reused(String),
    /// The library refused; it does so only when it runs out of memory or is misused.
    #[error("{0} failed")]
    Library(&'static str),
    /// The epoch's key could not be set up.
    #[error("{0}")]
    KeySetup(String),
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Error::CannotRun(error.to_string())
    }
}

/// A record that did not authenticate: damaged, forged, replayed or out of place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} did not authenticate")]
pub struct AuthError {
    pub(super) place: String,
}

/// The library could not say whether or not a record is authentic, or said that it isn't; the
/// caller gets an [`AuthError`] that names the record.
pub(super) struct Refused;

/// One cipher with one key.
pub(super) trait Cipher: Send {
    /// Writes the ciphertext of `head` and `pages` and then the tag to `out`, which has exactly
    /// their length.
    fn seal(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        head: &[u8],
        pages: &[Segment],
        out: &mut [u8],
    ) -> Result<(), SealError>;

    /// Opens `buffer`, ciphertext and tag, in place. On refusal the buffer may hold anything.
    fn open(&mut self, iv: &[u8; IV_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<(), Refused>;

    /// As [`Cipher::open`], but for the content behind the record's head, which goes where `placing` says.
    /// A library that opens a record in one piece only does not ask: it opens in place.
    ///
    /// On refusal the head, and where content went, may hold anything.
    fn open_placing(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        buffer: &mut [u8],
        _placing: &mut Placing,
    ) -> Result<(), Refused> {
        self.open(iv, aad, buffer)
    }
}

/// Where a record's content is opened to, once its head can be read.
pub struct Placing<'a> {
    /// Bytes of the record's head, at most those of the record without its tag.
    head: usize,
    place: &'a mut dyn FnMut(&[u8], &mut Vec<Segment>),
    segments: &'a mut Vec<Segment>,
}

impl<'a> Placing<'a> {
    /// `place` is shown the head, `head` bytes, deciphered and **not authenticated**: whatever it asks for
    /// must be checked as if a stranger had sent it, because one may have. It puts segments in the list,
    /// which are in all as long as the content; or none, and the record is opened in place.
    ///
    /// # Safety
    /// The segments must be writable, lie outside the record, and nothing may read them before it has been
    /// opened. What writes them meanwhile (a forged head may name any page) must do so by code that the compiler does not
    /// see into. What they hold is authentic only if opening succeeds.
    pub unsafe fn new(
        head: usize,
        place: &'a mut dyn FnMut(&[u8], &mut Vec<Segment>),
        segments: &'a mut Vec<Segment>,
    ) -> Placing<'a> {
        segments.clear();
        Placing {
            head,
            place,
            segments,
        }
    }

    /// Bytes of the head.
    pub(super) fn head(&self) -> usize {
        self.head
    }

    /// Where the content goes, of a record with this head; empty: in place.
    pub(super) fn ask(&mut self, head: &[u8], content: usize) -> &[Segment] {
        (self.place)(head, self.segments);
        let placed: usize = self.segments.iter().map(Segment::len).sum();
        assert!(
            self.segments.is_empty() || placed == content,
            "{placed} bytes of memory for {content} of content"
        );
        self.segments
    }
}

/// What a library seals with. Each takes a key of [`KEY_LEN`] bytes, of which AES-128 uses the first half,
/// an IV of [`IV_LEN`] and makes a tag of [`TAG_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// NIST SP 800-38D with AES-256.
    Aes256Gcm,
    /// NIST SP 800-38D with AES-128.
    Aes128Gcm,
    /// RFC 8439.
    ChaCha20Poly1305,
}

/// A library as this build has it. There is one for each [`Backend`](crate::arm::Backend).
pub struct Implementation {
    /// Its name and version.
    pub(super) version: fn() -> String,
    /// What it uses in this process.
    pub(super) engaged: fn() -> Engaged,
    /// What it seals with; none of the null cipher.
    pub(super) algorithm: Option<Algorithm>,
    /// A cipher with a key. The null cipher ignores it.
    pub(super) cipher: fn(&[u8; KEY_LEN]) -> Result<Box<dyn Cipher>>,
}

/// What a library chose in this process, from what it found and the environment masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engaged {
    /// The implementation of the cipher in a few words.
    pub implementation: &'static str,
    /// The CPU features that it uses, named as in `/proc/cpuinfo`; none for portable code.
    pub features: Vec<&'static str>,
}

impl Implementation {
    /// The library and its version: from the library where it tells one, otherwise from the lock
    /// file of this build.
    pub fn version(&self) -> String {
        (self.version)()
    }

    /// Bytes that a sealed record is longer than its plaintext: [`TAG_LEN`], or 0 for the null
    /// cipher.
    pub fn tag_len(&self) -> usize {
        self.algorithm.map_or(0, |_| TAG_LEN)
    }

    /// What it uses in this process.
    pub fn engaged(&self) -> Engaged {
        (self.engaged)()
    }
}

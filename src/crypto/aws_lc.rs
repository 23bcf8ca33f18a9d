//! aws-lc through its C interface: AES-GCM here, sealing out of place, longer runs of pages straight from
//! guest memory; ChaCha20-Poly1305 in [`chacha20`].
//!
//! For AES-GCM `EVP_CIPHER` rather than `EVP_AEAD`: it takes a record in pieces, so a head and runs of pages need
//! no gather copy, and its context, set up once for a key, is all that holds key
//! material (`EVP_AEAD` copies the hash key to the stack for each record and leaves it there).
//! Measured on a Zen 3 core, GB/s of thread CPU time, cold input, head of 64 bytes:
//!
//! | record | one run: CIPHER, AEAD | single pages: CIPHER, gathered for AEAD | open: CIPHER, AEAD |
//! | --- | --- | --- | --- |
//! | 4 KiB | 3.39, 3.39 | 3.17, 2.69 | 2.21, 2.23 |
//! | 64 KiB | 3.88, 3.88 | 3.37, 3.03 | 3.74, 3.78 |
//! | 256 KiB | 3.90, 3.89 | 3.08, 2.96 | 3.89, 3.90 |
//! | 1 MiB | 3.91, 3.91 | 3.18, 2.97 | 3.92, 3.90 |
//!
//! Each piece has a price of its own, which the AVX-512 code makes higher: on a Zen 4 core single
//! pages took 0.34 us each beyond their bytes. Short pieces in a row are therefore copied and sealed
//! in place: single pages at 4.5 instead of 3.6 GiB/s there, 2.7 instead of 2.6 with AES-NI. From two
//! pages on the copy costs as much as it saves.
//!
//! A head that is no multiple of 16 bytes, which shifts the pages off the cipher's blocks, costs up
//! to 5%.

pub(super) mod chacha20;
mod engaged;

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use aws_lc_sys as ffi;

use super::cipher::{
    Algorithm, Cipher, IV_LEN, Implementation, KEY_LEN, Placing, Refused, SealError, TAG_LEN,
};
use super::ending::{forget, keep};
use super::locked::protect;
use crate::error::{Error, Result};
use crate::machine::versions;
use crate::memory::{Segment, scatter};
use crate::units::PAGE_SIZE;

pub(super) const AES_256: Implementation = Implementation {
    version,
    engaged: engaged::aes_gcm,
    algorithm: Some(Algorithm::Aes256Gcm),
    // SAFETY: returns a pointer to a constant.
    cipher: |key| {
        Ok(Box::new(AwsLc::new(key, unsafe {
            ffi::EVP_aes_256_gcm()
        })?))
    },
};

/// Its key is the first half of what every cipher is given: the first 16 bytes that HKDF expands.
pub(super) const AES_128: Implementation = Implementation {
    version,
    engaged: engaged::aes_gcm,
    algorithm: Some(Algorithm::Aes128Gcm),
    // SAFETY: returns a pointer to a constant.
    cipher: |key| {
        Ok(Box::new(AwsLc::new(key, unsafe {
            ffi::EVP_aes_128_gcm()
        })?))
    },
};

/// The library with its version, and the crate that binds it.
fn version() -> String {
    let binding = versions::of("aws-lc-sys").join(", ");
    format!("{} (aws-lc-sys {binding})", library_version())
}

/// At least what aws-lc allocates for an AES-GCM context: hash key table, key schedule and the
/// state of a record. Only the pages that hold it are affected.
const CONTEXT_BYTES: usize = 1024;

/// Pieces below this are gathered, bytes.
const SHORT: usize = 2 * PAGE_SIZE;
/// So many bytes are gathered at once, that they stay in the second-level cache.
const GATHERED: usize = 256 << 10;

/// An `EVP_CIPHER_CTX` with a key; every call on it goes through `&mut self`.
struct AwsLc(NonNull<ffi::EVP_CIPHER_CTX>);

// SAFETY: a context is plain heap memory without ties to a thread, and only one thread can use it
// at a time, since all uses take `&mut self`.
unsafe impl Send for AwsLc {}

const SEAL: c_int = 1;
const OPEN: c_int = 0;

/// How many of these pieces go through the cipher at once, and their bytes: a long one, or short ones in a row.
fn stretch(pages: &[Segment]) -> (usize, usize) {
    let (mut count, mut len) = (1, pages[0].len());
    if len < SHORT {
        for page in &pages[1..] {
            if page.len() >= SHORT || len >= GATHERED {
                break;
            }
            count += 1;
            len += page.len();
        }
    }
    (count, len)
}

/// A call of the library that it refused.
struct Failed(&'static str);

impl Failed {
    fn unless(result: c_int, call: &'static str) -> Result<(), Failed> {
        if result == 1 {
            return Ok(());
        }
        // The library queues an error for this thread, which nobody else will fetch.
        // SAFETY: takes no arguments and touches only the calling thread's queue.
        unsafe { ffi::ERR_clear_error() };
        Err(Failed(call))
    }
}

impl AwsLc {
    /// A context for one of the library's AES-GCM ciphers, whose key is at most as long as this.
    fn new(key: &[u8; KEY_LEN], gcm: *const ffi::EVP_CIPHER) -> Result<Self> {
        let failed = |Failed(call)| Error::CannotRun(format!("{call} failed"));
        // SAFETY: allocates a context or returns null.
        let context = NonNull::new(unsafe { ffi::EVP_CIPHER_CTX_new() })
            .ok_or(Failed("EVP_CIPHER_CTX_new"))
            .map_err(failed)?;
        let this = AwsLc(context);
        let set_up = |key: *const u8, cipher| {
            // SAFETY: `context` is valid; `key` is null or 32 readable bytes, more than which no AES
            // takes; no IV is given yet. Choosing the cipher allocates its data, setting the key fills it.
            Failed::unless(
                unsafe {
                    ffi::EVP_CipherInit_ex(
                        context.as_ptr(),
                        cipher,
                        ptr::null_mut(),
                        key,
                        ptr::null(),
                        SEAL,
                    )
                },
                "EVP_CipherInit_ex",
            )
        };
        // In two steps, so that the memory is locked before the key is in it.
        set_up(ptr::null(), gcm).map_err(failed)?;
        // SAFETY: the context was initialised above, and nobody writes it now.
        protect(
            unsafe { (*context.as_ptr()).cipher_data }.cast(),
            CONTEXT_BYTES,
        );
        // Before there is a key in it, and forgotten before it is freed.
        keep(context.as_ptr().cast(), 0, wipe_context);
        set_up(key.as_ptr(), ptr::null()).map_err(failed)?;
        Ok(this)
    }

    /// Begins a record: IV and associated data.
    fn begin(&mut self, iv: &[u8; IV_LEN], aad: &[u8], direction: c_int) -> Result<(), Failed> {
        // SAFETY: the context has a cipher and a key; `iv` has the 12 bytes that AES-GCM takes
        // unless told otherwise.
        Failed::unless(
            unsafe {
                ffi::EVP_CipherInit_ex(
                    self.0.as_ptr(),
                    ptr::null(),
                    ptr::null_mut(),
                    ptr::null(),
                    iv.as_ptr(),
                    direction,
                )
            },
            "EVP_CipherInit_ex",
        )?;
        if aad.is_empty() {
            return Ok(());
        }
        // SAFETY: `aad` is readable for its length; without an output the call only authenticates.
        unsafe { self.update(ptr::null_mut(), aad.as_ptr(), aad.len()) }
    }

    /// Takes `len` bytes of a record from `from` and writes as many to `to`.
    ///
    /// # Safety
    /// `from` must be readable and `to` writable for `len` bytes; they must be equal or not
    /// overlap. `to` may be null, for associated data.
    unsafe fn update(&mut self, to: *mut u8, from: *const u8, len: usize) -> Result<(), Failed> {
        let mut written = 0;
        let len = c_int::try_from(len).map_err(|_| Failed("EVP_CipherUpdate"))?;
        Failed::unless(
            // SAFETY: as the caller promises. GCM writes exactly as many bytes as it reads.
            unsafe { ffi::EVP_CipherUpdate(self.0.as_ptr(), to, &mut written, from, len) },
            "EVP_CipherUpdate",
        )
    }

    /// Ends a record. For opening this is where the tag is compared.
    fn finish(&mut self) -> Result<(), Failed> {
        // GCM has nothing left to write here, but the output may not be null.
        let mut none = [0; TAG_LEN];
        let mut written = 0;
        // SAFETY: the context is in a record; the output is larger than what is written to it.
        Failed::unless(
            unsafe { ffi::EVP_CipherFinal_ex(self.0.as_ptr(), none.as_mut_ptr(), &mut written) },
            "EVP_CipherFinal_ex",
        )
    }

    /// Gets the tag of a finished record, or sets the one to compare with.
    fn tag(&mut self, command: c_int, tag: &mut [u8; TAG_LEN]) -> Result<(), Failed> {
        // SAFETY: both commands take a buffer of the given length, and write or read all of it.
        Failed::unless(
            unsafe {
                ffi::EVP_CIPHER_CTX_ctrl(
                    self.0.as_ptr(),
                    command,
                    TAG_LEN as c_int,
                    tag.as_mut_ptr().cast(),
                )
            },
            "EVP_CIPHER_CTX_ctrl",
        )
    }

    fn seal_record(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        head: &[u8],
        pages: &[Segment],
        out: &mut [u8],
    ) -> Result<(), Failed> {
        let (mut rest, tag) = out
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Failed("a record without room for its tag"))?;
        self.begin(iv, aad, SEAL)?;
        // SAFETY: the head is borrowed for the call.
        let head = unsafe { Segment::new(head.as_ptr(), head.len()) };
        let mut parts = std::iter::once(&head).chain(pages).peekable();
        while let Some(part) = parts.next() {
            let mut len = part.len();
            let is_short = len < SHORT;
            if is_short {
                part.copy_to(&mut rest[..len]);
                while let Some(next) = parts.next_if(|next| next.len() < SHORT && len < GATHERED) {
                    next.copy_to(&mut rest[len..len + next.len()]);
                    len += next.len();
                }
            }
            let (to, left) = rest.split_at_mut(len);
            let to = to.as_mut_ptr();
            let from = if is_short { to } else { part.start() };
            if len > 0 {
                // SAFETY: `to` is a private output of `len` bytes. `from` is either the same, filled
                // above, and the cipher works in place when both are equal; or a segment, readable
                // for `len` bytes (see `Segment` on vCPUs that write it meanwhile).
                unsafe { self.update(to, from, len)? };
            }
            rest = left;
        }
        self.finish()?;
        self.tag(ffi::EVP_CTRL_AEAD_GET_TAG, tag)
    }

    fn open_record(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        buffer: &mut [u8],
        placing: Option<&mut Placing>,
    ) -> Result<(), Failed> {
        let (text, tag) = buffer
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Failed("a record without a tag"))?;
        self.begin(iv, aad, OPEN)?;
        self.tag(ffi::EVP_CTRL_AEAD_SET_TAG, tag)?;
        let mut content = text;
        if let Some(placing) = placing {
            let (head, rest) = content.split_at_mut(placing.head());
            self.update_in_place(head)?;
            content = rest;
            let mut pages = placing.ask(head, content.len());
            while !pages.is_empty() {
                let (count, len) = stretch(pages);
                let (now, later) = pages.split_at(count);
                let (here, rest) = content.split_at_mut(len);
                match now {
                    // SAFETY: `here` is readable; the segment is writable and no part of this buffer, as
                    // `Placing::new` was promised, which also has what is written to it meanwhile.
                    [long] if len >= SHORT => unsafe {
                        self.update(long.start().cast_mut(), here.as_ptr(), len)?;
                    },
                    short => {
                        self.update_in_place(here)?;
                        // SAFETY: as above; they are as long as `here`.
                        unsafe { scatter(here, short) };
                    }
                }
                (pages, content) = (later, rest);
            }
        }
        self.update_in_place(content)?;
        self.finish()
    }

    fn update_in_place(&mut self, text: &mut [u8]) -> Result<(), Failed> {
        if text.is_empty() {
            return Ok(());
        }
        let at = text.as_mut_ptr();
        // SAFETY: `text` is readable and writable; the cipher works in place when both
        // pointers are equal. One pointer serves for both, so that neither is invalidated.
        unsafe { self.update(at, at, text.len()) }
    }
}

impl Cipher for AwsLc {
    fn seal(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        head: &[u8],
        pages: &[Segment],
        out: &mut [u8],
    ) -> Result<(), SealError> {
        self.seal_record(iv, aad, head, pages, out)
            .map_err(|Failed(call)| SealError::Library(call))
    }

    fn open(&mut self, iv: &[u8; IV_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<(), Refused> {
        self.open_record(iv, aad, buffer, None).map_err(|_| Refused)
    }

    fn open_placing(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        buffer: &mut [u8],
        placing: &mut Placing,
    ) -> Result<(), Refused> {
        self.open_record(iv, aad, buffer, Some(placing))
            .map_err(|_| Refused)
    }
}

/// Puts a key of zeros in the place of a context's own: the library writes all of its schedule and
/// hash key table anew. A [`Wipe`](super::ending::Wipe).
unsafe fn wipe_context(context: *mut u8, _: usize) {
    let context = context.cast::<ffi::EVP_CIPHER_CTX>();
    // SAFETY: the caller's promise: a context that `AwsLc::new` made and that was not freed, used by
    // nobody; its cipher takes 32 bytes of key at most.
    unsafe {
        ffi::EVP_CipherInit_ex(
            context,
            ptr::null(),
            ptr::null_mut(),
            [0u8; KEY_LEN].as_ptr(),
            ptr::null(),
            -1,
        );
    }
}

impl Drop for AwsLc {
    fn drop(&mut self) {
        forget(self.0.as_ptr().cast());
        // SAFETY: the context came from `EVP_CIPHER_CTX_new` and is freed once. The library
        // overwrites everything that it frees (OPENSSL_free), key schedule and hash key included.
        unsafe { ffi::EVP_CIPHER_CTX_free(self.0.as_ptr()) };
    }
}

/// The library's own name and version, such as `AWS-LC 5.12.0`.
pub(super) fn library_version() -> String {
    // SAFETY: returns a pointer to a constant string.
    let version = unsafe { std::ffi::CStr::from_ptr(awslc_version_string()) };
    version.to_string_lossy().into_owned()
}

unsafe extern "C" {
    #[link_name = "aws_lc_0_47_0_awslc_version_string"]
    fn awslc_version_string() -> *const std::ffi::c_char;
}

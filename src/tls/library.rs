//! s2n-tls as a library: started once, with memory of ours, its errors in words.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Once;

use s2n_tls_sys as s2n;
use s2n_tls_sys::s2n_error_type as kind;

use crate::crypto;

/// What went wrong in it, in two words for what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// A socket call did not come through in time.
    Blocked,
    /// A socket call failed; the reason stands in `errno`.
    Io,
    /// The peer has ended the stream.
    Closed,
    /// The peer said or did what it must not; its words.
    Refused(String),
}

/// Starts the library, once for the process; establishing a connection does.
///
/// # Panics
/// If the library does not start.
pub fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        // SAFETY: the callbacks keep the library's rules for them (see each); it has not been started
        // before, and what it does at an exit is turned off: threads may use it until the end.
        let started = unsafe {
            s2n::s2n_mem_set_callbacks(Some(nothing), Some(nothing), Some(allocate), Some(free))
                == 0
                && s2n::s2n_disable_atexit() == 0
                && s2n::s2n_init() == 0
        };
        assert!(started, "s2n-tls starts: {:?}", last_failure());
    });
}

unsafe extern "C" fn nothing() -> c_int {
    0
}

/// All that the library allocates is memory as for keys: its connections hold them.
unsafe extern "C" fn allocate(to: *mut *mut c_void, wanted: u32, allocated: *mut u32) -> c_int {
    match crypto::lend(wanted as usize) {
        Some((start, length)) => {
            // SAFETY: the library's pointers are to variables of its own.
            unsafe {
                *to = start.as_ptr().cast();
                *allocated = u32::try_from(length).unwrap_or(wanted);
            }
            0
        }
        None => -1,
    }
}

/// `size` is what `allocate` said.
unsafe extern "C" fn free(start: *mut c_void, size: u32) -> c_int {
    if let Some(start) = NonNull::new(start.cast()) {
        // SAFETY: the library gives back what it was given, once, with the length that it was told.
        unsafe { crypto::give_back(start, size as usize) };
    }
    0
}

/// Before a call whose failure is asked for.
pub(super) fn forget_failure() {
    // SAFETY: the address of a variable of this thread's.
    unsafe { *s2n::s2n_errno_location() = 0 };
}

/// Why the last call of this thread failed.
pub(super) fn last_failure() -> Failure {
    // SAFETY: the address of a variable of this thread's, and a number's kind.
    let (code, found) = unsafe {
        let code = *s2n::s2n_errno_location();
        (code, s2n::s2n_error_get_type(code))
    };
    match u32::try_from(found).unwrap_or(kind::INTERNAL) {
        kind::BLOCKED => Failure::Blocked,
        kind::IO => Failure::Io,
        kind::CLOSED => Failure::Closed,
        _ => Failure::Refused(words(code)),
    }
}

/// The library's words for an error, with its name.
fn words(code: c_int) -> String {
    // SAFETY: both give texts that live as long as the program, or none.
    let text = |text: *const std::ffi::c_char| match text.is_null() {
        true => String::new(),
        false => unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    };
    // SAFETY: takes a number, and a language by a text that ends with NUL.
    let (said, name) = unsafe {
        (
            s2n::s2n_strerror(code, c"EN".as_ptr()),
            s2n::s2n_strerror_name(code),
        )
    };
    format!("{} ({})", text(said), text(name))
}

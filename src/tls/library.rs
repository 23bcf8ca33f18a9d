//! s2n-tls as a library: started once, with memory of ours, its errors in words.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Once;

use s2n_tls_sys as s2n;
use s2n_tls_sys::s2n_error_type as kind;

use crate::crypto;

/// What went wrong in it, by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// A socket call did not come through in time.
    Blocked,
    /// A socket call failed; the reason stands in `errno`.
    Io,
    /// The peer has ended the stream.
    Closed,
    /// The peer said or did what it must not; the library's words.
    Refused(String),
    /// The library itself can't go on; its words.
    Failed(String),
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

/// `size` is what was asked for or what `allocate` said, by who gives it back: both lead to the same pages.
unsafe extern "C" fn free(start: *mut c_void, size: u32) -> c_int {
    if let Some(start) = NonNull::new(start.cast()) {
        // SAFETY: the library gives back what it was given, once, and knows either length of it.
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
        kind::ALERT | kind::PROTO => Failure::Refused(words(code)),
        kind::INTERNAL if !OWN.contains(&name(code).as_str()) => Failure::Refused(words(code)),
        _ => Failure::Failed(words(code)),
    }
}

/// Internal errors that no peer can cause. Of the others some are what it says of a record that is none.
const OWN: &[&str] = &[
    "S2N_ERR_ALLOC",
    "S2N_ERR_NOMEM",
    "S2N_ERR_MADVISE",
    "S2N_ERR_MLOCK",
    "S2N_ERR_RANDOM",
    "S2N_ERR_OPEN_RANDOM",
    "S2N_ERR_RANDOM_UNINITIALIZED",
    "S2N_ERR_RDRAND_FAILED",
];

/// The library's words for an error, with its name.
fn words(code: c_int) -> String {
    // SAFETY: takes a number, and a language by a text that ends with NUL.
    let said = unsafe { s2n::s2n_strerror(code, c"EN".as_ptr()) };
    format!("{} ({})", text(said), name(code))
}

/// The library's name for an error.
fn name(code: c_int) -> String {
    // SAFETY: takes a number.
    text(unsafe { s2n::s2n_strerror_name(code) })
}

/// A text of the library's that lives as long as the program, or none.
fn text(text: *const c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: it ends with NUL and is never changed.
        false => unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    }
}

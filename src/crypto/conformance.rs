//! One suite for every backend.

use super::locked::Locked;

/// The memory of a cipher holds something while it lives and zeros once it is wiped.
pub(super) fn assert_wiped<T>(cipher: Locked<T>) {
    let (at, length) = (
        std::ptr::from_ref::<T>(&cipher).cast::<u8>(),
        size_of::<T>(),
    );
    // SAFETY: the cipher's pages stay mapped until `mapping` goes; its bytes may be padding,
    // which a volatile read of locked, zero-initialised memory gives some value.
    let bytes = |_: &dyn std::any::Any| unsafe {
        (0..length)
            .map(|offset| at.add(offset).read_volatile())
            .collect::<Vec<u8>>()
    };
    assert!(bytes(&()).iter().filter(|byte| **byte != 0).count() > 200);
    let mapping = cipher.into_wiped();
    assert!(bytes(&()).iter().all(|byte| *byte == 0));
    drop(mapping);
}

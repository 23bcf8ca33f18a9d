//! For benches and tests alone: a connection within one thread, as two queues in memory.

use std::sync::{Arc, Mutex, PoisonError};

use crate::memory::touched;

/// One end of two queues. An empty queue reads as the end of the stream: both ends belong to one
/// thread, so there is nobody who could fill it meanwhile.
#[derive(Debug)]
pub(super) struct Queues {
    outgoing: Arc<Mutex<Queue>>,
    incoming: Arc<Mutex<Queue>>,
}

impl Queues {
    /// Both ends; each queue has room for `capacity` bytes before it allocates.
    pub(super) fn pair(capacity: usize) -> [Queues; 2] {
        let queues = [(); 2].map(|()| Arc::new(Mutex::new(Queue::new(capacity))));
        let end = |outgoing: usize, incoming: usize| Queues {
            outgoing: queues[outgoing].clone(),
            incoming: queues[incoming].clone(),
        };
        [end(0, 1), end(1, 0)]
    }

    /// # Safety
    /// Every entry must name readable memory.
    pub(super) unsafe fn send(&self, entries: &[libc::iovec]) -> isize {
        let mut queue = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = queue.bytes.len();
        for entry in entries {
            // SAFETY: the caller vouches for the memory.
            unsafe { queue.push(entry.iov_base.cast(), entry.iov_len) };
        }
        (queue.bytes.len() - before) as isize
    }

    /// # Safety
    /// Every entry must name memory that is valid for writes and that nothing else accesses.
    pub(super) unsafe fn receive(&self, entries: &[libc::iovec]) -> isize {
        let mut queue = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        for entry in entries {
            // SAFETY: the caller vouches for the memory.
            taken += unsafe { queue.pop(entry.iov_base.cast(), entry.iov_len) };
        }
        taken as isize
    }
}

/// Bytes that were sent and not yet received. Room is used again once all of them were.
#[derive(Debug)]
struct Queue {
    bytes: Vec<u8>,
    read: usize,
}

impl Queue {
    fn new(capacity: usize) -> Queue {
        Queue {
            bytes: touched(capacity),
            read: 0,
        }
    }

    /// # Safety
    /// `from` must name `len` readable bytes outside this queue.
    unsafe fn push(&mut self, from: *const u8, len: usize) {
        self.bytes.reserve(len);
        let end = self.bytes.len();
        // SAFETY: there is room for `len` bytes, which the copy initialises. Through raw pointers,
        // because guest memory has no references.
        unsafe {
            self.bytes.as_mut_ptr().add(end).copy_from(from, len);
            self.bytes.set_len(end + len);
        }
    }

    /// # Safety
    /// `to` must name `len` bytes, valid for writes, outside this queue.
    unsafe fn pop(&mut self, to: *mut u8, len: usize) -> usize {
        let len = len.min(self.bytes.len() - self.read);
        // SAFETY: `len` bytes follow `read`, and `to` has room for them.
        unsafe { to.copy_from(self.bytes.as_ptr().add(self.read), len) };
        self.read += len;
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
        }
        len
    }
}

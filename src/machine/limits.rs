//! What the kernel grants a process here: memory, locked memory, socket buffers.

use std::fs;

use serde::{Deserialize, Serialize};

/// The bit of `CAP_IPC_LOCK`, which frees from the limit of locked memory, in a set of capabilities.
const IPC_LOCK: u64 = 1 << 14;

/// What the kernel grants this process. What it does not say is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Memory that this machine has left, bytes.
    pub available_memory_bytes: Option<u64>,
    /// Memory that the process may lock, bytes; absent where there is no limit.
    pub locked_memory_bytes: Option<u64>,
    /// What a TCP connection's send buffer may grow to, bytes (`net.ipv4.tcp_wmem`).
    pub send_buffer_bytes: Option<u64>,
    /// What its receive buffer may grow to, bytes (`net.ipv4.tcp_rmem`).
    pub receive_buffer_bytes: Option<u64>,
}

impl Limits {
    /// Asks the kernel.
    pub fn of_this_process() -> Limits {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Limits {
            available_memory_bytes: super::available_memory().ok(),
            locked_memory_bytes: locked(&read("/proc/self/limits"), &read("/proc/self/status")),
            send_buffer_bytes: largest(&read("/proc/sys/net/ipv4/tcp_wmem")),
            receive_buffer_bytes: largest(&read("/proc/sys/net/ipv4/tcp_rmem")),
        }
    }

    /// Bytes of a connection that can be sent before the first of them is acknowledged, between hosts
    /// with these limits: what the send buffer holds, and the window that the receive buffer allows,
    /// which is half of it (`net.ipv4.tcp_adv_win_scale = 1`, the kernel's default).
    pub fn window_bytes(&self) -> Option<u64> {
        window(self.send_buffer_bytes, self.receive_buffer_bytes)
    }
}

/// As [`Limits::window_bytes`], from a sender's send buffer and a receiver's receive buffer.
pub fn window(send: Option<u64>, receive: Option<u64>) -> Option<u64> {
    let halved = receive.map(|bytes| bytes / 2);
    [send, halved].into_iter().flatten().min()
}

/// The limit of locked memory in `/proc/self/limits`, unless `/proc/self/status` frees from it.
fn locked(limits: &str, status: &str) -> Option<u64> {
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    if capabilities.is_some_and(|set| set & IPC_LOCK != 0) {
        return None;
    }
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The last of the three values of a buffer's setting.
fn largest(text: &str) -> Option<u64> {
    text.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             95000                95000                processes \n\
                      Max locked memory         65536                unlimited            bytes     \n";
        let user = "Name:\tmigtax\nCapEff:\t0000000000000000\n";
        assert_eq!(locked(limits, user), Some(65536));
        assert_eq!(locked(limits, "CapEff:\t0000000000004000\n"), None);
        assert_eq!(locked(&limits.replace("65536", "unlimited"), user), None);
        assert_eq!(locked("", ""), None);
        assert_eq!(largest("4096\t131072\t6291456\n"), Some(6_291_456));
        assert_eq!(largest("4096"), None);
    }

    #[test]
    fn the_smaller_buffer_is_the_window() {
        assert_eq!(window(Some(4 << 20), Some(6 << 20)), Some(3 << 20));
        assert_eq!(window(Some(1 << 20), Some(6 << 20)), Some(1 << 20));
        assert_eq!(window(None, Some(6 << 20)), Some(3 << 20));
        assert_eq!(window(None, None), None);
        assert!(Limits::of_this_process().available_memory_bytes > Some(0));
    }
}

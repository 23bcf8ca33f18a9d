//! What breaks on the way: a relay between the hosts that resets, stalls, damages and repeats;
//! hosts and coordinators that are killed; a machine without room. For each fault, at each phase,
//! on every arm: the error says what happened and where, nothing hangs, no process is left, the
//! guest goes on in one place with every write kept, and results.json holds what was finished.

mod fleet;
mod forged;
mod handshake;
mod killed;
mod link;
mod machine;
mod places;
mod qemu;
mod relay;
mod relayed;
mod runs;
mod storage;
mod strangers;
mod tunnel;
mod two_hosts;

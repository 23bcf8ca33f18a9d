//! The command line from outside: whole migrations, bad input, lists.

mod bad_input;
mod blocks;
mod clock;
mod command;
mod compression;
mod downtime;
mod fleet;
mod fleet_settings;
mod frontier;
mod guest;
mod hostile;
mod hosts;
mod interrupted;
mod lists;
mod memory;
mod merging;
mod migration;
mod plan;
mod plumbing;
mod protocols;
mod qemu;
mod rtt;
mod secrets;
mod shards;
mod slowdown;
mod throttle;

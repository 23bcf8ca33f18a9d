//! A fleet: the guests of a host that is evacuated.
//!
//! Every guest migrates between a pair of host processes of its own, with a key and a port of its own; several
//! at once, over one link and the cores that the hosts are given. The fleet leaves in several ways, each guest by one
//! arm or each by its own setting, interleaved in blocks.
//!
//! What a guest takes on its hosts is its memory and its disk: [`check::check_room`] adds both up, and its pair of hosts
//! moves them.
//!
//! - [`spec`], [`mod@load`], [`check`]: a fleet as data: its file, with scenarios and inventories; what it may be
//! - [`edit`]: bulk policy: the file changed with its comments kept
//! - [`mod@order`], [`mod@treatment`]: who goes first; what becomes of each guest in a way
//! - [`mod@evacuation`], [`watch`]: the fleet leaving once, and the cores that it uses
//! - [`mod@run`]: ways in blocks, saved after each evacuation, gone on with after an interrupt
//! - [`mod@file`]: `fleet.json`; [`figures`], [`mod@warnings`]: what it comes to
//! - [`report`], [`tables`], [`chart`]: console and page, tables, charts

pub mod chart;
pub mod check;
pub mod edit;
pub mod evacuation;
pub mod figures;
pub mod file;
pub mod load;
pub mod order;
pub mod report;
pub mod run;
pub mod spec;
pub mod tables;
pub mod treatment;
pub mod warnings;
pub mod watch;

pub use file::FleetFile;
pub use load::load;
pub use run::{Asked, Observer, run};
pub use spec::{Course, Fleet, Guest, Order, Way};

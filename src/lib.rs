//! migtax measures what encryption costs a live migration.
//!
//! # The way of a run
//!
//! ```text
//!  cli ──► scenario ──► runner ──────────────────────────────────────┐  spec, key and commands on
//!            (arm)        │ a fresh pair of processes a migration    │  standard input (host)
//!                         ▼                                          ▼
//!                     source                                    destination
//!    workload ─► guest ─► memory ◄─ tracking            memory ◄─ apply ◄─ open ◄─ receive
//!                           │                                                ▲
//!              prepare ─► seal ─► transmit ═══ record over wire, transport ══╝
//!              (source)  (crypto)              1 to 64 streams
//!                         │                                          │
//!                         └────────── reports (host) ────────────────┘
//!                                          ▼
//!            results ─► figures ─► report (page, charts, tables, csv) · gate (verdict, exit code)
//!                       (stats)    └─────── both through present ──────┘
//! ```
//!
//! # The modules, from the bottom up
//!
//! A module imports from lines above its own only.
//!
//! | module | holds |
//! | --- | --- |
//! | [`error`], [`units`], [`files`] | errors with their exit codes; sizes, rates and durations; files read within limits and written whole |
//! | [`private`], [`child`] | folders for secrets; processes that end with this one |
//! | [`stats`] | medians, intervals, tests, power: pure functions |
//! | [`machine`] | what this machine is and how steady: CPU features, library versions, clocks, load |
//! | [`meter`] | CPU time by stage of a thread |
//! | [`arm`] | the table of data paths under comparison |
//! | [`memory`] | guest memory, runs of its pages, segments of it |
//! | [`compression`] | page content compressed, each record by itself |
//! | [`wire`], [`transport`] | what bytes mean on a stream; what carries them, at the link's pace |
//! | [`crypto`] | ciphers behind one interface, keys, sequences, locked memory |
//! | [`tls`] | TLS below the records of a stream |
//! | [`record`] | records: framed, sealed, sent; received, opened, checked |
//! | [`tracking`] | dirty trackers |
//! | [`workload`] | dirty-page streams: arrival, placement, traces, their measures |
//! | [`precopy`] | when to go on, to slow the guest down, to stop and copy, to give up |
//! | [`guest`] | what memory and disk hold, and the vCPUs that write to them |
//! | [`scenario`] | a run as data: files, matrices, overrides, checks |
//! | [`tunnel`] | OpenSSH and stunnel as carriers of the streams |
//! | [`results`] | the record of a run: `results.json` |
//! | [`host`] | what coordinator and host processes say to each other |
//! | [`qemu`] | QEMU under the same instrument: its processes, the guest in them, its migrations |
//! | [`source`], [`destination`] | the two roles |
//! | [`figures`] | every metric, defined once; ratios, comparisons, warnings |
//! | [`run_folder`] | results read back with suspicion |
//! | [`plan`] | predictions for a VM and a link that were not measured |
//! | [`merge`] | shards of a run put together |
//! | [`present`] | the one table, number formatter and escaper |
//! | [`report`] | page, charts, summary, console, csv |
//! | [`gate`] | verdicts for CI, and the simulated runs that test it |
//! | [`runner`] | the coordinator: policy, keys, blocks of migrations |
//! | [`frontier`] | the highest dirty rate that converges: searches that probe by migrating |
//! | [`fleet`] | the guests of a host that is evacuated: many migrations at once, over one link |
//! | [`cli`] | one file a verb |
//!
//! # Recipes
//!
//! | to add | touch | held to it by |
//! | --- | --- | --- |
//! | an arm | a row of `arm::ROWS`; for a new cipher also a `Backend` and its implementation in `crypto` | `tests/arm_row.rs`, `crypto::conformance`, `tests/crypto` |
//! | a tracker | an implementation of [`tracking::Tracker`], a variant of `TrackerSpec`, a line in `tracking::open` and `available` | `tests/tracking_conformance.rs` |
//! | a stream model | a variant of [`workload::Arrival`] or [`workload::Placement`] with its check in `workload::check`, its generator beside the others, its theory in `workload::theory` | `tests/workload` |
//! | a metric | a row of `figures::table` | the tests in `figures::metric`, `report::csv`, `report::page::definitions` and `tests/gate` walk the table |
//! | a chart | a file in `report::chart` and its entry in `report::chart::CHARTS` | `tests/report` |
//! | a CI format | a file in `gate::format` and a variant of `Format` | the tests of `gate::format` |
//! | a scenario | a file in `datasets/scenarios` | `tests/scenario/main.rs` |

pub mod arm;
pub mod child;
pub mod cli;
pub mod compression;
pub mod crypto;
pub mod destination;
pub mod error;
pub mod figures;
pub mod files;
pub mod fleet;
pub mod frontier;
pub mod gate;
pub mod guest;
pub mod host;
pub mod machine;
pub mod memory;
pub mod merge;
pub mod meter;
pub mod plan;
pub mod precopy;
pub mod present;
pub mod private;
pub mod qemu;
pub mod record;
pub mod report;
pub mod results;
pub mod run_folder;
pub mod runner;
pub mod scenario;
pub mod source;
pub mod stats;
pub mod tls;
pub mod tracking;
pub mod transport;
pub mod tunnel;
pub mod units;
pub mod wire;
pub mod workload;

//! Charts: each is a [`picture::Picture`] made from results, drawn alike into the page (SVG) and
//! beside it (PNG).

pub mod axes;
pub mod bars;
pub mod cpu;
pub mod downtime;
pub mod latency;
pub mod lines;
pub mod multiples;
pub mod palette;
pub mod picture;
pub mod render;
pub mod rounds;
pub mod scale;
pub mod storage;
pub mod tax;
pub mod wire;

use rayon::prelude::*;

use crate::error::Result;
use crate::report::staging::File;
use crate::results::Results;
use crate::scenario::ClockKind;
use picture::Picture;

/// A chart of a report.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its anchor in the page and, with `.png`, its file.
    pub name: String,
    /// What stands under it in the page.
    pub caption: String,
    /// The chart.
    pub picture: Picture,
}

type Drawing = fn(&Results) -> Option<Picture>;

/// A chart that a run may have.
struct Entry {
    name: &'static str,
    caption: &'static str,
    /// Whether it shows time, which the virtual clock does not measure.
    needs_live_clock: bool,
    /// Whether it shows the guest's disk.
    needs_disk: bool,
    draw: Drawing,
}

/// The charts of one run. One that has nothing to show is left out.
const CHARTS: &[Entry] = &[
    Entry {
        name: "tax",
        caption: "Each arm's cost over its baseline's, taken within blocks, so that drift of the machine cancels. \
         On loopback the kernel does much of the receive work on the sender's time: read the CPU \
         ratios as differences between arms.",
        needs_live_clock: false,
        needs_disk: false,
        draw: tax::draw,
    },
    Entry {
        name: "cpu",
        caption: "Where the CPU time goes. The cipher has the arm's colour. Seal and open are attributable \
         to their side; on loopback transmit and receive are mixed between the sides.",
        needs_live_clock: false,
        needs_disk: false,
        draw: cpu::draw,
    },
    Entry {
        name: "rounds",
        caption: "How pre-copy went. A migration converges when the pages found dirty at a round's end can \
         be sent within the downtime limit. QEMU does not tell how many it found.",
        needs_live_clock: true,
        needs_disk: false,
        draw: rounds::draw,
    },
    Entry {
        name: "downtime",
        caption: "What the guest's pause is made of, on the source's clock. Transfer holds the cipher's share.",
        needs_live_clock: true,
        needs_disk: false,
        draw: downtime::draw,
    },
    Entry {
        name: "latency",
        caption: "From the time at which a guest's write was intended to the time at which it was done: a \
         stalled vCPU and the pause are seen. Each step on the axis is one more nine. \
         After: where the guest then ran.",
        needs_live_clock: true,
        needs_disk: false,
        draw: latency::draw,
    },
    Entry {
        name: "wire",
        caption: "Bytes that the source wrote to the sockets, from the bytes of each round: within a round \
         only the mean rate is known, so burstiness is a lower bound.",
        needs_live_clock: true,
        needs_disk: false,
        draw: wire::draw,
    },
    Entry {
        name: "storage",
        caption: "Whether encryption costs a disk what it costs memory: each arm's tax of the one, of the other, \
         of both. CPU is what is added to the baseline's: a disk's own holds reading and writing files.",
        needs_live_clock: true,
        needs_disk: true,
        draw: storage::draw,
    },
];

/// The charts of a run's kind, whether or not it has something to show in them.
fn of_kind(results: &Results) -> impl Iterator<Item = &'static Entry> {
    let has_disk = results.scenario.storage.is_some();
    let fits = move |chart: &&Entry| has_disk || !chart.needs_disk;
    CHARTS.iter().filter(fits)
}

/// The charts that a run has something to show in.
pub fn of_run(results: &Results) -> Vec<Figure> {
    let live = results.scenario.measure.clock == ClockKind::Live;
    of_kind(results)
        .filter(|chart| live || !chart.needs_live_clock)
        .filter_map(|chart| {
            let picture = (chart.draw)(results)?;
            Some(Figure {
                name: chart.name.to_owned(),
                caption: chart.caption.to_owned(),
                picture,
            })
        })
        .collect()
}

/// The names of all charts that such a run may have, in order.
pub fn names(results: &Results) -> impl Iterator<Item = &'static str> {
    of_kind(results).map(|chart| chart.name)
}

/// Every chart as a PNG file named after it; drawn and compressed side by side.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn pngs(charts: &[Figure]) -> Result<Vec<File>> {
    charts
        .par_iter()
        .map(|chart| Ok((format!("{}.png", chart.name), chart.picture.png()?)))
        .collect()
}

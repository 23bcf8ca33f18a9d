//! Charts: each is a [`picture::Picture`] made from results, drawn alike into the page (SVG) and
//! beside it (PNG).

pub mod axes;
pub mod bars;
pub mod cpu;
pub mod downtime;
pub mod latency;
pub mod multiples;
pub mod palette;
pub mod picture;
pub mod render;
pub mod rounds;
pub mod scale;
pub mod tax;
pub mod wire;

use rayon::prelude::*;

use crate::error::Result;
use crate::report::staging::File;
use crate::results::Results;
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

/// The charts of one run: name, caption, drawing. One that has nothing to show is left out.
const CHARTS: &[(&str, &str, Drawing)] = &[
    (
        "tax",
        "Each arm's cost over plain's, taken within blocks, so that drift of the machine cancels. \
         On loopback the kernel does much of the receive work on the sender's time: read the CPU \
         ratios as differences between arms.",
        tax::draw,
    ),
    (
        "cpu",
        "Where the CPU time goes. The cipher has the arm's colour. Seal and open are attributable \
         to their side; on loopback transmit and receive are mixed between the sides.",
        cpu::draw,
    ),
    (
        "rounds",
        "How pre-copy went. A migration converges when the pages found dirty at a round's end can \
         be sent within the downtime limit.",
        rounds::draw,
    ),
    (
        "downtime",
        "What the guest's pause is made of, on the source's clock. Transfer holds the cipher's share.",
        downtime::draw,
    ),
    (
        "latency",
        "From the time at which a guest's write was intended to the time at which it was done: a \
         stalled vCPU and the pause are seen. Each step on the axis is one more nine. \
         After: where the guest then ran.",
        latency::draw,
    ),
    (
        "wire",
        "Bytes that the source wrote to the sockets, from the bytes of each round: within a round \
         only the mean rate is known, so burstiness is a lower bound.",
        wire::draw,
    ),
];

/// The charts that a run has something to show in.
pub fn of_run(results: &Results) -> Vec<Figure> {
    CHARTS
        .iter()
        .filter_map(|(name, caption, draw)| {
            let picture = draw(results)?;
            Some(Figure {
                name: (*name).to_owned(),
                caption: (*caption).to_owned(),
                picture,
            })
        })
        .collect()
}

/// The names of all charts, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHARTS.iter().map(|(name, _, _)| *name)
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

//! What each figure means: one click from every heading.

use maud::{Markup, html};

use crate::figures::{Definition, Metric};

/// What holds for every metric.
const GENERAL: [Definition; 5] = [
    Definition {
        anchor: "migration",
        term: "migration",
        text: "One run of one arm: a fresh pair of host processes. It is the unit of every statistic; pages and rounds are not independent samples.",
    },
    Definition {
        anchor: "block",
        term: "block",
        text: "Every arm once, in shuffled order. Ratios are taken within a block, so that drift of the machine cancels.",
    },
    Definition {
        anchor: "tax",
        term: "tax",
        text: "An arm's figure over its baseline's in the same block: plain's, of QEMU's arms qemu-plain's; shown is the median of these ratios. +28% is a ratio of 1.28, ×12 a ratio of 12. Throughput is better when it is higher: its ratio is below 1 where encryption costs.",
    },
    Definition {
        anchor: "interval",
        term: "interval, level, n",
        text: "The interval covers the true median with the probability given as level, over n blocks (ratios) or n migrations (medians). Below 20 blocks it runs between two order statistics of the sample and states the level that these achieve. A single value has no interval.",
    },
    Definition {
        anchor: "outcome",
        term: "outcome",
        text: "completed: the guest runs at the destination and both memories have the same hash. not converged: pre-copy could not make the rest small enough; the guest ran on at the source. failed: something broke. unsupported: this machine cannot run the arm; nothing ran in its place. None of these is a zero.",
    },
];

/// Terms that are no metric's.
const OTHERS: [Definition; 4] = [
    Definition {
        anchor: "zero-pages",
        term: "zero pages",
        text: "Pages sent as a mark that they hold only zeros; they are not page payload.",
    },
    Definition {
        anchor: "burstiness",
        term: "burstiness of the wire",
        text: "Peak to mean: the fastest round's rate over the mean rate. Variation: standard deviation of the rate over its mean, weighted by time. Within a round only its mean rate is known, so both are lower bounds.",
    },
    Definition {
        anchor: "counted",
        term: "energy, cycles, instructions",
        text: "Where the machine exposes them. Energy: of all processor packages (RAPL), whatever ran on them, from the first harvest to the end, at the destination from the source's connection to the switchover; on one machine both are the same energy. Cycles and instructions: of a whole host process by its hardware counters, kernel and, at the source, vCPUs included.",
    },
    Definition {
        anchor: "schedule-kept",
        term: "schedule kept",
        text: "Writes made while the vCPUs were running over those asked for in the same stretch of the stream.",
    },
];

/// All definitions, those that metrics share once.
fn all() -> Vec<&'static Definition> {
    let mut all: Vec<&Definition> = GENERAL.iter().collect();
    for metric in Metric::all() {
        if !all.contains(&metric.row().definition) {
            all.push(metric.row().definition);
        }
    }
    all.extend(&OTHERS);
    all
}

/// The definitions' section of a page.
pub fn section() -> Markup {
    html! {
        section id="definitions" {
            h2 { "Definitions" }
            dl class="definitions" {
                @for definition in all() {
                    "\n"
                    dt id={ "def-" (definition.anchor) } { (definition.term) }
                    dd { (definition.text) }
                }
            }
        }
        "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_defined_on_the_page_once() {
        let page = section().into_string();
        for metric in Metric::all() {
            let anchor = format!("<dt id=\"def-{}\">", metric.row().definition.anchor);
            assert_eq!(page.matches(&anchor).count(), 1, "{metric:?}");
        }
    }
}

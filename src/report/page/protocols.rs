//! What protects streams below their records, in a section of its own.

use maud::{Markup, html};

use crate::report::protocols::{channels, framing, sentence};
use crate::results::Results;

/// The section; nothing of a run whose arms seal their records themselves.
pub fn section(results: &Results) -> Markup {
    let channels = channels(results);
    let framing = framing(results);
    html! {
        @if !channels.rows.is_empty() {
            section id="protocols" {
                h2 { "Below the records" }
                @if let Some(sentence) = sentence(results) { p { (sentence) } }
                (channels.html())
                @if !framing.rows.is_empty() { (framing.html()) }
                p class="note" {
                    "These arms send the records of plain, through TLS or a tunnel. TLS seals 16 KiB at most at a \
                     time; the arms that seal records take up to "
                    (results.scenario.migration.record.to_string())
                    ". What tls adds to aws-lc is TLS's framing and the copy that it makes on each side: cipher and \
                     library are the same. The CPU of a tunnel's processes is in each side's total; bytes on the wire \
                     are counted before a tunnel."
                }
            }
            "\n"
        }
    }
}

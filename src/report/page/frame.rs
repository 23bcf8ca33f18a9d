//! The page around its content: head, style, script, figures.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::arm::Arm;
use crate::error::Result;
use crate::report::chart::Figure;
use crate::report::chart::palette::{self, Ink};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Nothing may be loaded; style and script stand in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// Charts' inks on dark paper, in the order of [`Ink::THEMED`].
const DARK: [&str; 7] = [
    "#E8EAED", "#A4ACB5", "#30363D", "#14181D", "#9AA2AB", "#6B737C", "#454C54",
];

/// A whole document. Control characters, which HTML can't hold, are replaced in all of it.
pub fn document(title: &str, body: &Markup) -> String {
    let mut inks = String::from(":root{");
    for (ink, name) in Ink::THEMED {
        let _ = write!(inks, "--{name}:{};", palette::hex(ink.rgb()));
    }
    inks.push_str("}@media screen and (prefers-color-scheme:dark){:root{");
    for ((_, name), colour) in Ink::THEMED.iter().zip(DARK) {
        let _ = write!(inks, "--{name}:{colour};");
    }
    inks.push_str("}}\n");
    for arm in Arm::all() {
        let colour = palette::hex(arm.row().colour);
        let _ = write!(inks, ".{}{{--arm:{colour}}}", arm.name());
    }
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { "\n" (PreEscaped(inks)) "\n" (PreEscaped(STYLE)) }
            }
            "\n"
            body {
                main { "\n" (body) }
                script { "\n" (PreEscaped(SCRIPT)) }
            }
        }
        "\n"
    };
    let forbidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    document.into_string().replace(forbidden, "\u{fffd}")
}

/// Charts with their captions. The wrapper scrolls where the screen is narrower than the chart is
/// legible.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn figures(charts: &[Figure]) -> Result<Markup> {
    let svgs = charts.iter().map(|chart| chart.picture.svg());
    let svgs = svgs.collect::<Result<Vec<String>>>()?;
    Ok(html! {
        div class="figures" {
            @for (chart, svg) in charts.iter().zip(svgs) {
                "\n"
                figure id=(chart.name) {
                    div class="scroll" tabindex="0" { (PreEscaped(svg)) }
                    figcaption { (chart.caption) }
                }
            }
        }
    })
}

//! The page around its content: head, style, script, figures.

use std::fmt::Write as _;

use crate::arm::Arm;
use crate::error::Result;
use crate::present::text::html;
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

/// A whole document.
pub fn document(title: &str, body: &str) -> String {
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
        let _ = write!(
            inks,
            ".{}{{--arm:{}}}",
            arm.name(),
            palette::hex(arm.row().colour)
        );
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{inks}\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        html(POLICY),
        html(title),
    )
}

/// A chart with its caption. The wrapper scrolls where the screen is narrower than the chart is
/// legible.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn figure(out: &mut String, chart: &Figure) -> Result<()> {
    let _ = writeln!(
        out,
        "<figure id=\"{}\"><div class=\"scroll\" tabindex=\"0\">{}</div><figcaption>{}</figcaption></figure>",
        html(&chart.name),
        chart.picture.svg()?,
        html(&chart.caption)
    );
    Ok(())
}

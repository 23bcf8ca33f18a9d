//! Tables as data, written as HTML and Markdown alike, so that both show the same figures.

use std::fmt::Write as _;

use super::text;
use crate::arm::Arm;

/// A cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// The figure or text.
    pub text: String,
    /// What stands smaller under it: an interval with its level and n, a reason.
    pub under: String,
    /// The exact value: sorting goes by it, programs read it.
    pub value: Option<f64>,
    /// The arm whose colour stands beside the text.
    pub arm: Option<Arm>,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Cell {
            text: text.into(),
            ..Cell::default()
        }
    }

    /// An arm's name with its colour.
    pub fn arm(arm: Arm) -> Self {
        Cell {
            text: arm.name().to_owned(),
            arm: Some(arm),
            ..Cell::default()
        }
    }

    /// A figure as written, with its exact value.
    pub fn figure(text: impl Into<String>, value: f64) -> Self {
        Cell {
            text: text.into(),
            value: Some(value).filter(|v| v.is_finite()),
            ..Cell::default()
        }
    }

    /// A whole number.
    pub fn count(value: u64) -> Self {
        Cell::figure(text::count(value), value as f64)
    }

    /// No figure: a dash, which sorts last.
    pub fn none() -> Self {
        Cell::text("–")
    }

    /// With a smaller line under it.
    pub fn under(mut self, text: impl Into<String>) -> Self {
        self.under = text.into();
        self
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// The unit, which stands in the heading.
    pub unit: String,
    /// The anchor of the definition that the heading leads to.
    pub definition: Option<&'static str>,
    /// Whether it holds figures, which are set to the right.
    pub figures: bool,
}

impl Column {
    /// A column of texts.
    pub fn text(name: impl Into<String>) -> Self {
        Column {
            name: name.into(),
            unit: String::new(),
            definition: None,
            figures: false,
        }
    }

    /// A column of figures.
    pub fn figures(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Column {
            name: name.into(),
            unit: unit.into(),
            definition: None,
            figures: true,
        }
    }

    /// With a definition.
    pub fn defined(mut self, anchor: &'static str) -> Self {
        self.definition = Some(anchor);
        self
    }

    fn heading(&self) -> String {
        if self.unit.is_empty() {
            self.name.clone()
        } else {
            format!("{}, {}", self.name, self.unit)
        }
    }
}

/// An interval with its level and n, which break between the two and nowhere else.
fn unbroken(doubt: &str) -> String {
    let text = text::html(doubt).replace(' ', "&nbsp;");
    text.replacen(",&nbsp;level", ", level", 1)
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its anchor in the page.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The table for a page. The wrapper scrolls where the table is wider than the screen.
    pub fn html(&self) -> String {
        let mut out = format!(
            "<div class=\"scroll\" tabindex=\"0\"><table id=\"{}\" class=\"data\"><caption>{}</caption>\n<thead><tr>",
            text::html(&self.id),
            text::html(&self.caption)
        );
        for column in &self.columns {
            let name = text::html(&column.name);
            let name = match column.definition {
                Some(anchor) => format!("<a href=\"#def-{anchor}\">{name}</a>"),
                None => name,
            };
            let unit = match column.unit.as_str() {
                "" => String::new(),
                unit => format!(" <span class=\"unit\">{}</span>", text::html(unit)),
            };
            let class = if column.figures { " class=\"num\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{name}{unit}</th>");
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            out.push_str("<tr>");
            for (index, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
                let (open, close) = match index {
                    0 => ("th scope=\"row\"", "th"),
                    _ => ("td", "td"),
                };
                let class = if column.figures { " class=\"num\"" } else { "" };
                let value = cell.value.map_or(String::new(), |v| {
                    format!(" data-value=\"{}\"", text::exact(v))
                });
                let under = match cell.under.as_str() {
                    "" => String::new(),
                    under if column.figures => format!("<small>{}</small>", unbroken(under)),
                    under => format!("<small>{}</small>", text::html(under)),
                };
                let swatch = cell.arm.map_or(String::new(), |arm| {
                    format!("<i class=\"arm {}\"></i>", arm.name())
                });
                let _ = write!(
                    out,
                    "<{open}{class}{value}>{swatch}{}{under}</{close}>",
                    text::html(&cell.text)
                );
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div>\n");
        out
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::from("|");
        for column in &self.columns {
            let _ = write!(out, " {} |", text::markdown(&column.heading()));
        }
        out.push_str("\n|");
        for column in &self.columns {
            out.push_str(if column.figures { " ---: |" } else { " --- |" });
        }
        out.push('\n');
        for row in &self.rows {
            out.push('|');
            for cell in row {
                let _ = match cell.under.as_str() {
                    "" => write!(out, " {} |", text::markdown(&cell.text)),
                    under => {
                        let (text, under) = (text::markdown(&cell.text), text::markdown(under));
                        write!(out, " {text} ({under}) |")
                    }
                };
            }
            out.push('\n');
        }
        out
    }
}

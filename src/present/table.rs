//! Tables as data, written for pages, Markdown and terminals alike, so that all show the same
//! figures.

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
    /// Whether it holds sentences: in a terminal they stand on lines of their own under the row,
    /// without a heading.
    pub sentences: bool,
}

impl Column {
    /// A column of texts.
    pub fn text(name: impl Into<String>) -> Self {
        Column {
            name: name.into(),
            unit: String::new(),
            definition: None,
            figures: false,
            sentences: false,
        }
    }

    /// A column of sentences, too long to stand beside the other columns of a terminal.
    pub fn sentences(name: impl Into<String>) -> Self {
        Column {
            sentences: true,
            ..Column::text(name)
        }
    }

    /// A column of figures.
    pub fn figures(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Column {
            name: name.into(),
            unit: unit.into(),
            definition: None,
            figures: true,
            sentences: false,
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
    /// Its anchor in a page.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// What stands before a sentence under a row of a terminal.
const INDENT: &str = "    ";

impl Table {
    /// A table.
    pub fn new(
        id: impl Into<String>,
        caption: impl Into<String>,
        columns: Vec<Column>,
        rows: Vec<Vec<Cell>>,
    ) -> Self {
        Table {
            id: id.into(),
            caption: caption.into(),
            columns,
            rows,
        }
    }

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

    /// The table for a terminal: the caption, the headings, the units where there are any, the
    /// rows; columns as wide as their widest cell. What is empty is left out: a table without
    /// caption and headings is its rows. Ends with a line break.
    pub fn terminal(&self) -> String {
        let headings = |text: fn(&Column) -> &str| -> Vec<String> {
            self.columns
                .iter()
                .map(|column| match column.sentences {
                    true => String::new(),
                    false => text::terminal(text(column)),
                })
                .collect()
        };
        let heads = [headings(|c| &c.name), headings(|c| &c.unit)];
        let rows = self.rows.iter().map(|row| {
            let cell = |cell: &Cell| match cell.under.as_str() {
                "" => text::terminal(&cell.text),
                under => text::terminal(&format!("{} ({under})", cell.text)),
            };
            row.iter().map(cell).collect::<Vec<_>>()
        });
        let lines: Vec<Vec<String>> = heads
            .into_iter()
            .filter(|head| head.iter().any(|text| !text.is_empty()))
            .chain(rows)
            .collect();
        let width = |index: usize| {
            let cells = lines.iter().filter_map(|line| line.get(index));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        // Figures line up at their last digit, unless their doubts stand there.
        let right: Vec<bool> = (self.columns.iter().enumerate())
            .map(|(index, column)| {
                let mut cells = self.rows.iter().filter_map(|row| row.get(index));
                column.figures && cells.all(|cell| cell.under.is_empty())
            })
            .collect();
        let mut out = String::new();
        if !self.caption.is_empty() {
            out.push_str(&text::terminal(&self.caption));
            out.push('\n');
        }
        for line in lines {
            let mut beside = String::new();
            let mut below = String::new();
            for (index, cell) in line.iter().enumerate().take(widths.len()) {
                let width = widths[index];
                let _ = match (self.columns[index].sentences, right[index]) {
                    (true, _) if cell.is_empty() => Ok(()),
                    (true, _) => writeln!(below, "{INDENT}{cell}"),
                    (false, true) => write!(beside, "{cell:>width$}  "),
                    (false, false) => write!(beside, "{cell:width$}  "),
                };
            }
            out.push_str(beside.trim_end());
            out.push('\n');
            out.push_str(&below);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(
            "t",
            "A <caption>",
            vec![
                Column::text("arm"),
                Column::figures("blocks", ""),
                Column::figures("time", "ms"),
                Column::sentences("why"),
            ],
            vec![
                vec![
                    Cell::arm(Arm::PLAIN),
                    Cell::count(5),
                    Cell::figure("1.5", 1.5).under("1 to 2"),
                    Cell::text(""),
                ],
                vec![
                    Cell::text("a\u{1b}[1m|b"),
                    Cell::count(10),
                    Cell::none(),
                    Cell::text("It failed."),
                ],
            ],
        )
    }

    #[test]
    fn a_terminal_gets_aligned_columns_with_sentences_under_their_row() {
        let expected = "A <caption>\narm      blocks  time\n                 ms\n\
                        plain         5  1.5 (1 to 2)\n\
                        a [1m|b      10  –\n    It failed.\n";
        assert_eq!(table().terminal(), expected);
        let mut bare = table();
        bare.caption.clear();
        bare.columns = [""; 4].map(Column::text).to_vec();
        assert_eq!(
            bare.terminal().lines().count(),
            2,
            "no heading: no line for it"
        );
    }

    #[test]
    fn markdown_and_pages_hold_the_same_cells_as_text() {
        let markdown = table().markdown();
        assert_eq!(
            markdown.lines().next(),
            Some("| arm | blocks | time, ms | why |"),
            "{markdown}"
        );
        assert!(markdown.contains("| 1.5 (1 to 2) |") && markdown.contains("\\|b |"));
        let page = table().html();
        assert!(page.contains("<table id=\"t\" class=\"data\"><caption>A &lt;caption&gt;"));
        assert!(page.contains("<td class=\"num\" data-value=\"1.5\">1.5<small>1&nbsp;to&nbsp;2"));
    }
}

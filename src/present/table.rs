//! Tables as data, written for pages, Markdown and terminals alike, so that all show the same
//! figures.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::escape;
use super::text;
use crate::arm::Arm;

/// A cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// The figure or text.
    pub text: String,
    /// What stands smaller under it: an interval, a reason.
    pub under: String,
    /// What its interval rests on: `level 95.9%, n 20`. Where it is the same in most cells the
    /// table says it once.
    pub basis: String,
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

    /// With what its interval rests on.
    pub fn resting_on(mut self, basis: impl Into<String>) -> Self {
        self.basis = basis.into();
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
    /// Where it stands in a terminal.
    place: Place,
}

/// Where a terminal shows a column, since it is narrower than a page.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// Beside the others.
    Beside,
    /// On lines of its own, without a heading: above the rows that share its text.
    Above,
    /// On a line of its own, without a heading: under its row, where it isn't empty.
    Below,
}

impl Column {
    /// A column of texts.
    pub fn text(name: impl Into<String>) -> Self {
        Column {
            name: name.into(),
            unit: String::new(),
            definition: None,
            figures: false,
            place: Place::Beside,
        }
    }

    /// A column of sentences, too long to stand beside the other columns of a terminal.
    pub fn sentences(name: impl Into<String>) -> Self {
        Column {
            place: Place::Below,
            ..Column::text(name)
        }
    }

    /// A column whose text several rows share.
    pub fn group(name: impl Into<String>) -> Self {
        Column {
            place: Place::Above,
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
            place: Place::Beside,
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

    /// What most doubted cells rest on: said once for the table, and by the cells that rest on
    /// something else.
    fn basis(&self) -> &str {
        let bases = || {
            let cells = self.rows.iter().flatten();
            cells.map(|c| c.basis.as_str()).filter(|b| !b.is_empty())
        };
        let count = |basis: &str| bases().filter(|other| *other == basis).count();
        // The first of equals: `max_by_key` would take the last.
        bases().rev().max_by_key(|basis| count(basis)).unwrap_or("")
    }

    /// The caption, with what the cells rest on.
    fn title(&self) -> String {
        let basis = self.basis();
        let mut cells = self.rows.iter().flatten();
        let other = cells.any(|c| !c.basis.is_empty() && c.basis != basis);
        match (basis, other) {
            ("", _) => self.caption.clone(),
            (_, false) => format!("{} ({basis})", self.caption),
            (_, true) => format!("{} ({basis} unless a cell says otherwise)", self.caption),
        }
    }

    /// What stands smaller in a cell, in parts that are not broken.
    fn small<'a>(&self, cell: &'a Cell) -> Vec<&'a str> {
        let basis = Some(cell.basis.as_str()).filter(|own| *own != self.basis());
        let parts = [Some(cell.under.as_str()), basis].into_iter().flatten();
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// The table for a page. The wrapper scrolls where the table is wider than the screen.
    pub fn html(&self) -> Markup {
        let class = |column: &Column| column.figures.then_some("num");
        let content = |cell: &Cell, column: &Column| {
            let small: Vec<String> = match column.figures {
                true => self
                    .small(cell)
                    .iter()
                    .map(|part| part.replace(' ', "\u{a0}"))
                    .collect(),
                false => self.small(cell).into_iter().map(str::to_owned).collect(),
            };
            html! {
                @if let Some(arm) = cell.arm { i class={ "arm " (arm.name()) } {} }
                (cell.text)
                @if !small.is_empty() { small { (small.join(", ")) } }
            }
        };
        html! {
            div class="scroll" tabindex="0" {
                table id=(self.id) class="data" {
                    caption { (self.title()) }
                    thead {
                        tr {
                            @for column in &self.columns {
                                th scope="col" class=[class(column)] {
                                    @match column.definition {
                                        Some(anchor) => a href={ "#def-" (anchor) } { (column.name) },
                                        None => (column.name),
                                    }
                                    @if !column.unit.is_empty() {
                                        " " span class="unit" { (column.unit) }
                                    }
                                }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            "\n"
                            tr {
                                @for (index, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
                                    @let value = cell.value.map(text::exact);
                                    @if index == 0 {
                                        th scope="row" class=[class(column)] data-value=[value] {
                                            (content(cell, column))
                                        }
                                    } @else {
                                        td class=[class(column)] data-value=[value] {
                                            (content(cell, column))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            "\n"
        }
    }

    /// The table in Markdown: the caption as a paragraph, the table. Ends with a line break.
    pub fn markdown(&self) -> String {
        let mut out = match self.title() {
            title if title.is_empty() => title,
            title => format!("{}\n\n", escape::markdown(&title)),
        };
        let mut line = |cells: Vec<String>| {
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        let columns = self.columns.iter();
        line(
            columns
                .clone()
                .map(|c| escape::markdown(&c.heading()))
                .collect(),
        );
        line(
            columns
                .map(|c| if c.figures { "---:" } else { "---" }.to_owned())
                .collect(),
        );
        for row in &self.rows {
            line(
                row.iter()
                    .map(|cell| escape::markdown(&self.line(cell)))
                    .collect(),
            );
        }
        out
    }

    /// A cell in one line.
    fn line(&self, cell: &Cell) -> String {
        match self.small(cell).join(", ") {
            small if small.is_empty() => cell.text.clone(),
            small => format!("{} ({small})", cell.text),
        }
    }

    /// The table for a terminal: the caption, the headings, the units where there are any, the
    /// rows; columns as wide as their widest cell. What is empty is left out: a table without
    /// caption and headings is its rows. Ends with a line break.
    pub fn terminal(&self) -> String {
        let headings = |text: fn(&Column) -> &str| -> Vec<String> {
            self.columns
                .iter()
                .map(|column| match column.place {
                    Place::Beside => escape::terminal(text(column)),
                    Place::Above | Place::Below => String::new(),
                })
                .collect()
        };
        let heads = [headings(|c| &c.name), headings(|c| &c.unit)];
        let rows = self.rows.iter().map(|row| {
            let cell = |cell: &Cell| escape::terminal(&self.line(cell));
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
                column.figures && cells.all(|cell| self.small(cell).is_empty())
            })
            .collect();
        let mut out = String::new();
        let title = escape::terminal(&self.title());
        if !title.is_empty() {
            let _ = writeln!(out, "{title}");
        }
        let mut group = String::new();
        for line in lines {
            let mut beside = String::new();
            let mut below = String::new();
            for (index, cell) in line.into_iter().enumerate().take(widths.len()) {
                let width = widths[index];
                let _ = match (self.columns[index].place, right[index]) {
                    (Place::Beside, true) => write!(beside, "{cell:>width$}  "),
                    (Place::Beside, false) => write!(beside, "{cell:width$}  "),
                    (Place::Above, _) if cell != group => {
                        group = cell;
                        writeln!(out, "{group}")
                    }
                    (Place::Below, _) if !cell.is_empty() => writeln!(below, "{INDENT}{cell}"),
                    (Place::Above | Place::Below, _) => Ok(()),
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
mod tests;

//! Tables as data, written for pages, Markdown and terminals alike, so that all show the same
//! figures.

mod terminal;

use std::cmp::Reverse;
use std::collections::BTreeMap;

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
            arm: Some(arm),
            ..Cell::text(arm.name())
        }
    }

    /// A figure as written, with its exact value.
    pub fn figure(text: impl Into<String>, value: f64) -> Self {
        Cell {
            value: Some(value).filter(|v| v.is_finite()),
            ..Cell::text(text)
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

    /// What stands smaller in it, in parts that are not broken, in a table with that basis.
    fn small(&self, of_table: &str) -> Vec<&str> {
        let own = Some(self.basis.as_str()).filter(|own| *own != of_table);
        let parts = [Some(self.under.as_str()), own].into_iter().flatten();
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// All of it in one line.
    fn line(&self, of_table: &str) -> String {
        match self.small(of_table).join(", ") {
            small if small.is_empty() => self.text.clone(),
            small => format!("{} ({small})", self.text),
        }
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
            unit: unit.into(),
            figures: true,
            ..Column::text(name)
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
        let cells = self.rows.iter().flatten();
        let bases = cells.map(|c| c.basis.as_str()).filter(|b| !b.is_empty());
        // How often, and where first: of equals the first is meant.
        let mut counts: BTreeMap<&str, (usize, Reverse<usize>)> = BTreeMap::new();
        for (place, basis) in bases.enumerate() {
            counts.entry(basis).or_insert((0, Reverse(place))).0 += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or("", |(basis, _)| basis)
    }

    /// Whether a row's arm is the first of another group of arms than the row before.
    fn begins_group(&self, number: usize) -> bool {
        let base = |row: &[Cell]| Some(row.first()?.arm?.base());
        let before = number
            .checked_sub(1)
            .and_then(|before| base(&self.rows[before]));
        before.is_some_and(|before| base(&self.rows[number]).is_some_and(|base| base != before))
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

    /// The table for a page. The wrapper scrolls where the table is wider than the screen.
    pub fn html(&self) -> Markup {
        let class = |column: &Column| column.figures.then_some("num");
        let basis = self.basis();
        let content = |cell: &Cell, column: &Column| {
            let small = cell
                .small(basis)
                .into_iter()
                .map(|part| match column.figures {
                    true => part.replace(' ', "\u{a0}"),
                    false => part.to_owned(),
                });
            let small: Vec<String> = small.collect();
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
                        @for (number, row) in self.rows.iter().enumerate() {
                            "\n"
                            tr class=[self.begins_group(number).then_some("group")] {
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
        let columns = self.columns.iter();
        let names = columns.clone().map(|c| escape::markdown(&c.heading()));
        let rule = columns.map(|c| if c.figures { "---:" } else { "---" }.to_owned());
        let basis = self.basis();
        let cell = |cell: &Cell| escape::markdown(&cell.line(basis));
        let rows = self.rows.iter().map(|row| row.iter().map(cell).collect());
        let lines: [Vec<String>; 2] = [names.collect(), rule.collect()];
        for line in lines.into_iter().chain(rows) {
            out.push_str(&format!("| {} |\n", line.join(" | ")));
        }
        out
    }
}

#[cfg(test)]
mod tests;

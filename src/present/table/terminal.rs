//! Tables on terminals, which are narrower than pages.

use std::fmt::Write as _;

use super::{Cell, Column, Place, Table};
use crate::present::escape;

/// What stands before a sentence under a row.
const INDENT: &str = "    ";

impl Table {
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
        let basis = self.basis();
        let rows = self.rows.iter().map(|row| {
            let cell = |cell: &Cell| escape::terminal(&cell.line(basis));
            row.iter().map(cell).collect::<Vec<_>>()
        });
        let heads = heads
            .into_iter()
            .filter(|head| head.iter().any(|text| !text.is_empty()));
        let heads: Vec<Vec<String>> = heads.collect();
        let first = heads.len();
        let lines: Vec<Vec<String>> = heads.into_iter().chain(rows).collect();
        let width = |index: usize| {
            let cells = lines.iter().filter_map(|line| line.get(index));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        // Figures line up at their last digit, unless their doubts stand there.
        let right: Vec<bool> = (self.columns.iter().enumerate())
            .map(|(index, column)| {
                let mut cells = self.rows.iter().filter_map(|row| row.get(index));
                column.figures && cells.all(|cell| cell.small(basis).is_empty())
            })
            .collect();
        let mut out = String::new();
        let title = escape::terminal(&self.title());
        if !title.is_empty() {
            let _ = writeln!(out, "{title}");
        }
        let mut group = String::new();
        for (number, line) in lines.into_iter().enumerate() {
            if number > first && self.begins_group(number - first) {
                out.push('\n');
            }
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

//! For a terminal.

use super::columns;
use crate::gate::verdict::Report;

/// The table with one sentence under each row that did not simply pass, the verdict last.
pub(super) fn text(report: &Report) -> String {
    let mut table = vec![
        [
            "arm",
            "metric",
            "baseline",
            "candidate",
            "change",
            "finds",
            "verdict",
        ]
        .map(str::to_owned),
    ];
    for row in &report.rows {
        let [baseline, candidate, change, finds] = columns(row.figures.as_ref());
        table.push([
            row.arm.clone(),
            row.metric.clone(),
            baseline,
            candidate,
            change,
            finds,
            row.verdict.name().to_owned(),
        ]);
    }
    let mut widths = [0; 7];
    for line in &table {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = format!(
        "baseline  {}\ncandidate {}\n\n",
        report.baseline, report.candidate
    );
    for (index, line) in table.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let cell = match column {
                2..=5 => format!("{cell:>width$}  "),
                6 => cell.clone(),
                _ => format!("{cell:width$}  "),
            };
            out.push_str(&cell);
        }
        out.push('\n');
        if let Some(row) = index.checked_sub(1).and_then(|i| report.rows.get(i)) {
            out.push_str(&format!("    {}\n", row.sentence));
        }
    }
    for note in &report.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out.push_str(&format!(
        "\n{}: {}\n",
        report.verdict.name(),
        report.sentence
    ));
    out
}

//! For a terminal.

use crate::gate::verdict::Report;
use crate::present::escape;

/// The table with one sentence under each row, the verdict last.
pub(super) fn terminal(report: &Report) -> String {
    let mut out = format!(
        "baseline  {}\ncandidate {}\n\n{}",
        escape::terminal(&report.baseline),
        escape::terminal(&report.candidate),
        super::table(report).terminal()
    );
    for note in &report.notes {
        out.push_str(&format!("note: {}\n", escape::terminal(note)));
    }
    out.push_str(&format!(
        "\n{}: {}\n",
        report.verdict.name(),
        escape::terminal(&report.sentence)
    ));
    out
}

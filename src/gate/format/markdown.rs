//! For a job summary or a comment on a change.

use super::columns;
use crate::gate::verdict::{Report, Verdict};

/// The verdict, what did not pass with its sentence, then everything in a folded table.
pub(super) fn markdown(report: &Report) -> String {
    let mut out = format!(
        "### migtax gate: {}\n\n{}\n\nBaseline {}, candidate {}.\n\n",
        report.verdict.name(),
        cell(&report.sentence),
        cell(&report.baseline),
        cell(&report.candidate)
    );
    let told: Vec<_> = report
        .rows
        .iter()
        .filter(|r| r.verdict != Verdict::Pass)
        .collect();
    for row in told {
        out.push_str(&format!(
            "- **{}** {} {}: {}\n",
            row.verdict.name(),
            cell(&row.arm),
            cell(&row.metric),
            cell(&row.sentence)
        ));
    }
    out.push_str("\n<details><summary>All metrics</summary>\n\n");
    out.push_str("| arm | metric | baseline | candidate | change | finds | verdict | why |\n");
    out.push_str("| --- | --- | ---: | ---: | ---: | ---: | --- | --- |\n");
    for row in &report.rows {
        let [baseline, candidate, change, finds] = columns(row.figures.as_ref());
        out.push_str(&format!(
            "| {} | {} | {baseline} | {candidate} | {change} | {finds} | {} | {} |\n",
            cell(&row.arm),
            cell(&row.metric),
            row.verdict.name(),
            cell(&row.sentence)
        ));
    }
    out.push_str("\n\"finds\" is the smallest change for the worse that these blocks show with the power configured.\n\n</details>\n");
    for note in &report.notes {
        out.push_str(&format!("\n> {}\n", cell(note)));
    }
    out
}

/// Text that can't break a table or start markup.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('\n', " ")
}

//! For a job summary or a comment on a change.

use crate::gate::verdict::{Report, Verdict};
use crate::present::escape::markdown as escaped;

/// The verdict, what did not pass with its sentence, then everything in a folded table.
pub(super) fn markdown(report: &Report) -> String {
    let mut out = format!(
        "### migtax gate: {}\n\n{}\n\nBaseline {}, candidate {}.\n\n",
        report.verdict.name(),
        escaped(&report.sentence),
        escaped(&report.baseline),
        escaped(&report.candidate)
    );
    for row in report.rows.iter().filter(|r| r.verdict != Verdict::Pass) {
        out.push_str(&format!(
            "- **{}** {} {}: {}\n",
            row.verdict.name(),
            escaped(&row.arm),
            escaped(&row.metric),
            escaped(&row.sentence)
        ));
    }
    out.push_str("\n<details><summary>All metrics</summary>\n\n");
    out.push_str(&super::table(report).markdown());
    out.push_str("\n\"finds\" is the smallest change for the worse that these blocks show with the power configured.\n\n</details>\n");
    for note in &report.notes {
        out.push_str(&format!("\n> {}\n", escaped(note)));
    }
    out
}

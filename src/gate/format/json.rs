//! For programs.

use crate::gate::verdict::Report;

/// The report as it is, with the exit code beside the verdict.
pub(super) fn json(report: &Report) -> String {
    #[derive(serde::Serialize)]
    struct Whole<'a> {
        format_version: u32,
        exit_code: i32,
        #[serde(flatten)]
        report: &'a Report,
    }
    let whole = Whole {
        format_version: 1,
        exit_code: report.verdict.exit_code() as i32,
        report,
    };
    let mut text =
        serde_json::to_string_pretty(&whole).unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"));
    text.push('\n');
    text
}

//! For CI systems that show test results.

use crate::gate::verdict::{Report, Verdict};

/// One suite, one case a row: regressed fails, incomparable is an error, inconclusive is an error
/// where it makes the whole inconclusive and skipped where it is only noted.
pub(super) fn junit(report: &Report) -> String {
    let count = |kind: &str| {
        let those = report
            .rows
            .iter()
            .filter(|r| element(r.verdict, r.blocking) == Some(kind));
        those.count()
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"migtax gate\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n<properties>\n",
        report.rows.len(),
        count("failure"),
        count("error"),
        count("skipped")
    );
    for (name, value) in [
        ("verdict", report.verdict.name()),
        ("sentence", &report.sentence),
        ("baseline", &report.baseline),
        ("candidate", &report.candidate),
    ] {
        out.push_str(&format!(
            "<property name=\"{name}\" value=\"{}\"/>\n",
            escaped(value)
        ));
    }
    out.push_str("</properties>\n");
    for row in &report.rows {
        out.push_str(&format!(
            "<testcase classname=\"migtax.{}\" name=\"{}\">",
            escaped(&row.arm),
            escaped(&row.metric)
        ));
        let sentence = escaped(&row.sentence);
        match element(row.verdict, row.blocking) {
            Some(element) => out.push_str(&format!(
                "<{element} message=\"{}: {sentence}\"/>",
                row.verdict.name()
            )),
            None => out.push_str(&format!(
                "<system-out>{}: {sentence}</system-out>",
                row.verdict.name()
            )),
        }
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

fn element(verdict: Verdict, blocking: bool) -> Option<&'static str> {
    match verdict {
        Verdict::Pass | Verdict::Improved => None,
        Verdict::Regressed => Some("failure"),
        Verdict::Inconclusive if !blocking => Some("skipped"),
        Verdict::Inconclusive | Verdict::Incomparable => Some("error"),
    }
}

/// Escapes for XML 1.0; control characters, which it can't hold at all, become spaces.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

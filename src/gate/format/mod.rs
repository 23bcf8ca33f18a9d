//! How a report is printed, one format a file.

mod bencher;
mod json;
mod junit;
mod markdown;
mod terminal;

pub use bencher::bencher;

use super::verdict::{Report, Row};
use crate::present::table::{Cell, Column, Table};
use crate::present::text;

/// The formats of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for a terminal.
    Text,
    /// The report with all its figures.
    Json,
    /// A table for a job summary or a comment.
    Markdown,
    /// A test suite, one case a row.
    Junit,
}

impl Format {
    /// The report in this format, with a newline at its end.
    pub fn print(self, report: &Report) -> String {
        match self {
            Format::Text => terminal::terminal(report),
            Format::Json => json::json(report),
            Format::Markdown => markdown::markdown(report),
            Format::Junit => junit::junit(report),
        }
    }
}

/// Every row: baseline and candidate medians, the change, the smallest change that would have been
/// found, the verdict and why.
fn table(report: &Report) -> Table {
    let mut columns = ["arm", "metric"].map(Column::text).to_vec();
    columns
        .extend(["baseline", "candidate", "change", "finds"].map(|name| Column::figures(name, "")));
    columns.extend([Column::text("verdict"), Column::sentences("why")]);
    let row = |row: &Row| {
        let figure = |value: Option<f64>, written: fn(f64) -> String| {
            value.map_or_else(Cell::none, |value| Cell::figure(written(value), value))
        };
        let figures = row.figures.as_ref();
        vec![
            Cell::text(&row.arm),
            Cell::text(&row.metric),
            figure(figures.map(|f| f.baseline), text::sig3),
            figure(figures.map(|f| f.candidate), text::sig3),
            figure(figures.map(|f| f.change), text::signed_percent),
            figure(figures.and_then(|f| f.detectable), text::percent),
            Cell::text(row.verdict.name()),
            Cell::text(&row.sentence),
        ]
    };
    Table::new("gate", "", columns, report.rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::arm::Arm;
    use crate::gate::simulate::{Simulation, Slowdown, Stage, raw};
    use crate::gate::verdict::Verdict;
    use crate::gate::{Config, judge_runs};

    /// Judged once: what a verdict can find takes most of the time.
    static REPORT: LazyLock<Report> = LazyLock::new(|| {
        let base = raw(&Simulation {
            blocks: 10,
            ..Simulation::default()
        });
        let cand = raw(&Simulation {
            blocks: 10,
            seed: 2,
            slowdown: Some(Slowdown {
                stage: Stage::Seal,
                factor: 1.5,
                arm: Some(Arm::AWS_LC),
            }),
            ..Simulation::default()
        });
        let names = ["old", "new"].map(str::to_owned);
        judge_runs(&base, &cand, &Config::built_in(), names)
    });

    #[test]
    fn every_format_shows_every_row_and_the_verdict() {
        let report = &*REPORT;
        for format in [Format::Text, Format::Json, Format::Markdown, Format::Junit] {
            let text = format.print(report);
            assert!(text.ends_with('\n'));
            assert!(text.contains("regressed"), "{format:?}");
            // Markdown escapes the underscores.
            let rows = text.replace('\\', "").matches("seal_cpu_per_gib").count();
            assert!(rows >= 5, "{format:?}: {rows}");
        }
    }

    #[test]
    fn json_can_be_read() {
        let report = &*REPORT;
        let value: serde_json::Value = serde_json::from_str(&Format::Json.print(report)).unwrap();
        assert_eq!(value["verdict"], "regressed");
        assert_eq!(value["exit_code"], 3);
        assert_eq!(value["rows"].as_array().unwrap().len(), report.rows.len());
    }

    #[test]
    fn foreign_text_is_harmless_in_every_format() {
        let mut report = REPORT.clone();
        let evil = "::error::old <1> & \"x\"|y\r\n@someone https://away.test \u{1b}[31m\u{fffe}` \
                    ![p](//away.test/p) ##[warning]w \u{202e}";
        for text in [
            &mut report.baseline,
            &mut report.sentence,
            &mut report.rows[0].sentence,
        ] {
            evil.clone_into(text);
        }
        report.rows[0].verdict = Verdict::Incomparable;
        report.notes.push(evil.to_owned());

        let xml = Format::Junit.print(&report);
        assert!(
            xml.contains("value=\": :error::old &lt;1&gt; &amp; &quot;x&quot;|y"),
            "{xml}"
        );
        assert!(
            !xml.contains(|c: char| (c < ' ' && c != '\n') || c == '\u{fffe}'),
            "{xml:?}"
        );
        assert_eq!(xml.matches("<testcase ").count(), report.rows.len());
        assert_eq!(xml.matches("</testcase>").count(), report.rows.len());

        let markdown = Format::Markdown.print(&report);
        for live in [
            "<1>", "\"|y", "@someone", "https://", "\u{1b}", "\r", "![p]", "\u{202e}",
        ] {
            assert!(!markdown.contains(live), "{live:?}: {markdown}");
        }
        assert!(
            markdown.contains("\\|y"),
            "a bar would break the table: {markdown}"
        );

        let text = Format::Text.print(&report);
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text:?}");
        for line in text.lines().chain(xml.lines()) {
            let commands = line.trim_start().starts_with("::") || line.contains("##[");
            assert!(!commands, "a command to a CI job: {line}");
        }
    }

    /// Checked against the published schema: objects of objects whose `value` is a number and
    /// required, `lower_value` and `upper_value` numbers, nothing else.
    #[test]
    fn the_bencher_export_fits_the_published_schema() {
        let run = raw(&Simulation::default());
        let value: serde_json::Value = serde_json::from_str(&bencher(&run)).unwrap();
        let benchmarks = value.as_object().unwrap();
        assert_eq!(benchmarks.len(), 7);
        for (benchmark, measures) in benchmarks {
            assert!(benchmark.len() <= 1024);
            let measures = measures.as_object().unwrap();
            assert!(measures.len() >= 5, "{benchmark}");
            for (measure, metric) in measures {
                assert!(measure.len() <= 64);
                let metric = metric.as_object().unwrap();
                let number = |field: &str| metric.get(field).map(|v| v.as_f64().unwrap());
                let middle = number("value").expect("value is required");
                assert!(number("lower_value").unwrap() <= middle);
                assert!(number("upper_value").unwrap() >= middle);
                assert_eq!(metric.len(), 3);
            }
        }
    }
}

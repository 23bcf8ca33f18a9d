//! How a report is printed, one format a file.

mod bencher;
mod json;
mod junit;
mod markdown;
mod text;

pub use bencher::bencher;

use super::verdict::{Figures, Report};

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
            Format::Text => text::text(report),
            Format::Json => json::json(report),
            Format::Markdown => markdown::markdown(report),
            Format::Junit => junit::junit(report),
        }
    }
}

/// A figure with three significant digits.
fn figure(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let decimals = 2 - value.abs().log10().floor() as i32;
    format!("{value:.*}", decimals.clamp(0, 12) as usize)
}

/// Baseline and candidate medians, the change, the smallest change that would have been found.
fn columns(figures: Option<&Figures>) -> [String; 4] {
    let Some(f) = figures else {
        return [(); 4].map(|()| "-".to_owned());
    };
    [
        figure(f.baseline),
        figure(f.candidate),
        super::words::signed(f.change),
        f.detectable.map_or("-".to_owned(), super::words::percent),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, raw};
    use crate::gate::{Config, judge_runs};

    fn report() -> Report {
        let base = raw(&Simulation {
            blocks: 10,
            ..Simulation::default()
        });
        let cand = raw(&Simulation {
            blocks: 10,
            seed: 2,
            seal: 1.5,
            ..Simulation::default()
        });
        let names = ["old <1> & \"x\"|y".to_owned(), "new".to_owned()];
        judge_runs(&base, &cand, &Config::built_in(), names)
    }

    #[test]
    fn figures_keep_three_digits() {
        let table = [
            (0.08123, "0.0812"),
            (12.345, "12.3"),
            (1234.5, "1234"),
            (0.0, "0"),
        ];
        for (value, expected) in table {
            assert_eq!(figure(value), expected);
        }
    }

    #[test]
    fn every_format_shows_every_row_and_the_verdict() {
        let report = report();
        for format in [Format::Text, Format::Json, Format::Markdown, Format::Junit] {
            let text = format.print(&report);
            assert!(text.ends_with('\n'));
            assert!(text.contains("regressed"), "{format:?}");
            let rows = text.matches("seal_cpu_per_gib").count();
            assert!(rows >= 5, "{format:?}: {rows}");
        }
    }

    #[test]
    fn json_can_be_read_and_junit_is_escaped() {
        let report = report();
        let value: serde_json::Value = serde_json::from_str(&Format::Json.print(&report)).unwrap();
        assert_eq!(value["verdict"], "regressed");
        assert_eq!(value["exit_code"], 3);
        assert_eq!(value["rows"].as_array().unwrap().len(), report.rows.len());
        let xml = Format::Junit.print(&report);
        assert!(xml.contains("old &lt;1&gt; &amp; &quot;x&quot;|y"), "{xml}");
        assert_eq!(xml.matches("<testcase ").count(), report.rows.len());
        assert_eq!(xml.matches("</testcase>").count(), report.rows.len());
        let table = Format::Markdown.print(&report);
        assert!(
            table.contains("\\|y"),
            "a bar would break the table: {table}"
        );
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

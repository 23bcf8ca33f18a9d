//! The table that `migtax run` prints: what an operator reads first.

use std::fmt::Write as _;

use super::view::{self, ArmView, Basis};
use crate::figures::Metric;
use crate::present::text;
use crate::results::{Comparison, Results};

/// The run as a table for a terminal of 100 columns: per arm the outcome, total time, downtime
/// and CPU per GiB on each side; then the tax against `plain` with its interval, level and n;
/// then reasons and warnings. Plain text, ends with a line break.
pub fn console_table(results: &Results) -> String {
    let arms = view::arms(results);
    let mut out = String::new();
    let line = |out: &mut String, text: &str| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(
        &mut out,
        &text::terminal(&format!(
            "{}: {} guest, {} arms x {} blocks{} on {}",
            results.scenario.title(),
            results.scenario.guest.memory,
            arms.len(),
            view::blocks(results),
            if results.interrupted {
                " (interrupted)"
            } else {
                ""
            },
            results.host.cpu_model,
        )),
    );
    line(&mut out, "");
    line(
        &mut out,
        &format!(
            "{:<15} {:<33} {:>10} {:>10} {:>10} {:>10}",
            "arm", "outcome", "total time", "downtime", "source CPU", "dest. CPU"
        ),
    );
    line(
        &mut out,
        &format!(
            "{:<15} {:<33} {:>10} {:>10} {:>10} {:>10}",
            "", "", "", "", "CPU-s/GiB", "CPU-s/GiB"
        ),
    );
    for arm in &arms {
        line(&mut out, &arm_line(arm));
    }
    if arms.iter().any(|arm| arm.basis == Basis::NotConverged) {
        line(&mut out, "* over migrations that did not converge");
    }
    line(&mut out, "");
    tax_table(&mut out, results, &arms);
    for arm in &arms {
        for reason in arm.reasons() {
            line(
                &mut out,
                &text::terminal(&format!("{}: {reason}", arm.arm())),
            );
        }
    }
    for text in wrap(view::sides_note(results), WIDTH) {
        line(&mut out, &text);
    }
    for warning in &results.warnings {
        line(
            &mut out,
            &text::terminal(&format!("warning: {} ({})", warning.message, warning.code)),
        );
        line(
            &mut out,
            &text::terminal(&format!("  remedy: {}", warning.remedy)),
        );
    }
    out
}

/// Columns of the terminal that the table is made for.
const WIDTH: usize = 100;

/// Breaks a text at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn arm_line(arm: &ArmView<'_>) -> String {
    let value = |metric: Metric, figure: fn(f64) -> String| {
        arm.metric(metric)
            .map_or("-".to_owned(), |m| figure(m.median))
    };
    let star = if arm.basis == Basis::NotConverged {
        "*"
    } else {
        ""
    };
    let cpu = |metric| match arm.metric(metric) {
        Some(median) => format!("{}{star}", text::sig3(median.median)),
        None => "-".to_owned(),
    };
    format!(
        "{:<15} {:<33} {:>10} {:>10} {:>10} {:>10}",
        arm.arm().name(),
        arm.outcome(),
        value(Metric::TOTAL_TIME, text::seconds),
        value(Metric::DOWNTIME, text::seconds),
        cpu(Metric::SOURCE_CPU_PER_GIB),
        cpu(Metric::DESTINATION_CPU_PER_GIB),
    )
}

fn tax_cell(comparison: Option<&Comparison>) -> String {
    comparison.map_or("-".to_owned(), |c| {
        format!(
            "{} [{}, {}]",
            text::tax(c.ratio),
            text::tax_like(c.ratio, c.ci_low),
            text::tax_like(c.ratio, c.ci_high)
        )
    })
}

fn tax_table(out: &mut String, results: &Results, arms: &[ArmView<'_>]) {
    const SHOWN: [Metric; 3] = [
        Metric::TOTAL_TIME,
        Metric::SOURCE_CPU_PER_GIB,
        Metric::DESTINATION_CPU_PER_GIB,
    ];
    let rows: Vec<_> = arms
        .iter()
        .filter(|arm| arm.arm() != view::BASELINE)
        .map(|arm| {
            (
                arm,
                SHOWN.map(|metric| view::tax(results, arm.arm(), metric)),
            )
        })
        .filter(|(_, taxes)| taxes.iter().any(Option::is_some))
        .collect();
    if rows.is_empty() {
        out.push_str("no tax: no block in which both plain and another arm completed\n\n");
        return;
    }
    out.push_str("tax against plain: median ratio within blocks [interval]\n");
    let _ = writeln!(
        out,
        "{:<15} {:<23} {:<23} {:<23} {:>6} {:>3}",
        "arm", "total time", "source CPU", "destination CPU", "level", "n"
    );
    for (arm, taxes) in rows {
        let doubts: Vec<_> = taxes
            .iter()
            .flatten()
            .map(|c| (text::level(c.level), c.blocks))
            .collect();
        // Rows whose metrics rest on different blocks say so for each.
        let same = doubts.windows(2).all(|pair| pair[0] == pair[1]);
        let cells = taxes.map(|tax| match tax {
            Some(c) if !same => {
                format!("{} {} n {}", tax_cell(tax), text::level(c.level), c.blocks)
            }
            _ => tax_cell(tax),
        });
        let (level, n) = match (same, doubts.first()) {
            (true, Some((level, n))) => (level.clone(), n.to_string()),
            _ => (String::new(), String::new()),
        };
        let row = format!(
            "{:<15} {:<23} {:<23} {:<23} {level:>6} {n:>3}",
            arm.arm().name(),
            cells[0],
            cells[1],
            cells[2]
        );
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out.push('\n');
}

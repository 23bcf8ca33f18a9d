//! The table that `migtax run` prints: what an operator reads first.

use std::fmt::Write as _;

use super::answer;
use super::cells;
use super::protocols;
use super::storage;
use super::view::{self, ArmView, Basis};
use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::present::escape::terminal;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::results::Results;

/// A run, or the points of a matrix, for a terminal of 100 columns. Of one run: per arm the
/// outcome, total time, downtime and CPU per GiB on each side; then the tax against `plain` with
/// its interval, level and n. Of a matrix: one table, points by arms. Then reasons and warnings,
/// each once. Plain text, ends with a line break; nothing of no run.
pub fn console_table(points: &[&Results]) -> String {
    let Some(first) = points.first() else {
        return String::new();
    };
    let mut out = String::new();
    let what = match points {
        [run] => run.scenario.title(),
        _ => format!("{}: {} points", first.scenario.name, points.len()),
    };
    let interrupted = points.iter().find(|point| point.interrupted);
    let blocks = points.iter().map(|point| view::blocks(point));
    let _ = writeln!(
        out,
        "{}: {} guest, {} arms x {} blocks{} on {}{}\n",
        terminal(&what),
        first.scenario.guest.memory,
        first.arms.len(),
        blocks.max().unwrap_or(0),
        interrupted.map_or("", |point| view::interrupted(point)),
        terminal(&first.host.cpu_model),
        seal_workers(first),
    );
    if let Some(note) = points.iter().find_map(|point| view::clock_note(point)) {
        let _ = writeln!(out, "{}\n", wrap(note, WIDTH));
    }
    match points {
        [run] => {
            let _ = writeln!(out, "{}\n", wrap(&terminal(&answer::headline(run)), WIDTH));
            one_run(&mut out, run);
        }
        _ => out.push_str(&matrix(points).terminal()),
    }
    out.push('\n');
    notes(&mut out, points);
    out
}

/// How many threads sealed, in every arm alike; nothing of a run of an older build.
fn seal_workers(run: &Results) -> String {
    match run.migrations.iter().find_map(|m| m.seal_workers) {
        Some(1) => ", 1 seal worker".to_owned(),
        Some(workers) => format!(", {workers} seal workers"),
        None => String::new(),
    }
}

/// Arms with their figures, then with their taxes.
fn one_run(out: &mut String, run: &Results) {
    let arms = view::arms(run);
    let row = |arm: &ArmView<'_>| {
        let figure = |metric, written: fn(f64) -> String| {
            arm.metric(metric).map_or_else(Cell::none, |median| {
                Cell::figure(written(median.median), median.median)
            })
        };
        let cpu = |metric| {
            let mut cell = figure(metric, text::sig3);
            if cell.value.is_some() && arm.basis == Basis::NotConverged {
                cell.text.push('*');
            }
            cell
        };
        vec![
            Cell::arm(arm.arm()),
            Cell::text(arm.outcome()),
            figure(Metric::TOTAL_TIME, text::seconds),
            figure(Metric::DOWNTIME, text::seconds),
            cpu(Metric::SOURCE_CPU_PER_GIB),
            cpu(Metric::DESTINATION_CPU_PER_GIB),
        ]
    };
    // Each time has its own unit.
    let times = |metric: Metric| Column::figures(metric.label(), "");
    let cpu = |metric: Metric| Column::figures(metric.label(), metric.row().unit);
    let columns = vec![
        Column::text("arm"),
        Column::text("outcome"),
        times(Metric::TOTAL_TIME),
        times(Metric::DOWNTIME),
        cpu(Metric::SOURCE_CPU_PER_GIB),
        cpu(Metric::DESTINATION_CPU_PER_GIB),
    ];
    let rows = arms.iter().map(row).collect();
    out.push_str(&Table::new("arms", "", columns, rows).terminal());
    if arms.iter().any(|arm| arm.basis == Basis::NotConverged) {
        out.push_str("* over migrations that did not converge\n");
    }
    out.push('\n');
    for (index, base) in view::bases(run).into_iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let taxes = taxes(run, &arms, base);
        if taxes.rows.is_empty() {
            let _ = writeln!(
                out,
                "no tax: no block in which both {base} and another arm completed"
            );
            continue;
        }
        let added = added(run, &arms, base);
        if !added.rows.is_empty() {
            let _ = writeln!(out, "{}", added.terminal());
        }
        out.push_str(&taxes.terminal());
    }
    let disk = [storage::copies(run), storage::taxes(run)];
    let below = [protocols::channels(run), protocols::framing(run)];
    for table in disk.into_iter().chain(below) {
        if !table.rows.is_empty() {
            let _ = write!(out, "\n{}", table.terminal());
        }
    }
    if let Some(sentence) = protocols::sentence(run) {
        let _ = writeln!(out, "\n{}", wrap(&sentence, WIDTH));
    }
}

/// The arms whose tax is over a baseline.
fn over<'a, 'r>(arms: &'a [ArmView<'r>], base: Arm) -> impl Iterator<Item = &'a ArmView<'r>> {
    let is_over = move |arm: &&ArmView<'_>| arm.arm().base() == base && arm.arm() != base;
    arms.iter().filter(is_over)
}

/// What arms add to CPU, in absolute terms: a ratio depends on how cheap the baseline is.
fn added(run: &Results, arms: &[ArmView<'_>], base: Arm) -> Table {
    let sides = [Metric::SOURCE_CPU_PER_GIB, Metric::DESTINATION_CPU_PER_GIB];
    let row = |arm: &ArmView<'_>| {
        let taxes = sides.map(|metric| view::tax(run, arm.arm(), metric));
        let known = taxes.iter().flatten().next()?;
        let mut row = vec![Cell::arm(arm.arm())];
        for tax in taxes {
            let added = tax.and_then(|tax| Some((tax.added?, view::added(tax)?)));
            row.push(
                added.map_or_else(Cell::none, |(value, [figure, interval])| {
                    Cell::figure(figure, value).under(interval)
                }),
            );
            let cores = tax.and_then(|tax| answer::added_cores(run, tax));
            row.push(cores.map_or_else(Cell::none, |cores| Cell::figure(text::sig3(cores), cores)));
        }
        known.added.map(|_| row)
    };
    let mut columns = vec![Column::text("arm")];
    for metric in sides {
        columns.push(Column::figures(metric.label(), metric.row().unit));
        columns.push(Column::figures("cores", ""));
    }
    let speed = answer::speed(run);
    let caption =
        format!("added to {base}: median difference within blocks (interval), cores at {speed}");
    let rows = over(arms, base).filter_map(row).collect();
    Table::new("added", caption, columns, rows)
}

/// The metrics whose taxes a terminal has room for.
const TAXED: [Metric; 3] = [
    Metric::TOTAL_TIME,
    Metric::SOURCE_CPU_PER_GIB,
    Metric::DESTINATION_CPU_PER_GIB,
];

/// Taxes of the arms that have any. Level and n have columns of their own, so that a row fits; a
/// row whose metrics rest on different blocks says so for each.
fn taxes(run: &Results, arms: &[ArmView<'_>], base: Arm) -> Table {
    let row = |arm: &ArmView<'_>| {
        let taxes = TAXED.map(|metric| view::tax(run, arm.arm(), metric));
        let bases = || {
            taxes
                .iter()
                .flatten()
                .map(|c| (text::level(c.level), c.blocks))
        };
        let (level, n) = bases().next()?;
        let same = bases().all(|other| other == (level.clone(), n));
        let mut row = vec![Cell::arm(arm.arm())];
        row.extend(taxes.map(|tax| match tax {
            Some(c) if same => cells::tax(c).resting_on(""),
            Some(c) => cells::tax(c).resting_on("").under(view::doubt(c)),
            None => Cell::none(),
        }));
        row.extend(match same {
            true => [Cell::text(level), Cell::count(u64::from(n))],
            false => [Cell::text(""), Cell::text("")],
        });
        Some(row)
    };
    let caption = format!("tax against {base}: median ratio within blocks (interval)");
    let mut columns = vec![Column::text("arm")];
    columns.extend(TAXED.map(|metric| Column::figures(metric.label(), "")));
    columns.extend(["level", "n"].map(|name| Column::figures(name, "")));
    let rows = over(arms, base).filter_map(row).collect();
    Table::new("taxes", caption, columns, rows)
}

/// Points by arms: total time, or how it ended, and the tax on both sides' CPU.
fn matrix(points: &[&Results]) -> Table {
    let columns = vec![
        Column::group("point"),
        Column::text("arm"),
        Column::figures(Metric::TOTAL_TIME.label(), ""),
        Column::figures(Metric::SOURCE_CPU_PER_GIB.label(), "tax"),
        Column::figures(Metric::DESTINATION_CPU_PER_GIB.label(), "tax"),
    ];
    let row = |point: &Results, arm: &ArmView<'_>| {
        let tax = |metric| match view::tax(point, arm.arm(), metric) {
            Some(c) => cells::tax(c),
            None if arm.arm() == arm.arm().base() => Cell::text(""),
            None => Cell::none(),
        };
        let time = match arm.metric(Metric::TOTAL_TIME) {
            Some(m) if arm.measured.len() < arm.migrations.len() => {
                Cell::figure(text::seconds(m.median), m.median).under(arm.outcome())
            }
            Some(m) => Cell::figure(text::seconds(m.median), m.median),
            None => Cell::text(arm.outcome()),
        };
        vec![
            Cell::text(label(point)),
            Cell::arm(arm.arm()),
            time,
            tax(Metric::SOURCE_CPU_PER_GIB),
            tax(Metric::DESTINATION_CPU_PER_GIB),
        ]
    };
    let rows = points.iter().flat_map(|point| {
        let arms = view::arms(point);
        arms.iter().map(|arm| row(point, arm)).collect::<Vec<_>>()
    });
    let caption =
        "points by arms; tax against the arm's baseline: median ratio within blocks, interval";
    Table::new("points", caption, columns, rows.collect())
}

/// What tells a point from the others: `record 64KiB, streams 2`.
fn label(point: &Results) -> String {
    let varied = point.scenario.varied().into_iter();
    let values: Vec<String> = varied
        .map(|(field, value)| format!("{field} {value}"))
        .collect();
    values.join(", ")
}

/// Reasons, what must be known to read CPU by side, warnings. One that several points have stands
/// once; one that not all have names those that do.
fn notes(out: &mut String, points: &[&Results]) {
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    let kinds: [fn(&Results) -> Vec<String>; 4] = [reasons, chance, sides, warnings];
    for kind in kinds {
        for point in points {
            for note in kind(point) {
                match notes.iter_mut().find(|(known, _)| *known == note) {
                    Some((_, of)) => of.push(label(point)),
                    None => notes.push((note, vec![label(point)])),
                }
            }
        }
    }
    for (note, mut of) in notes {
        of.dedup();
        out.push_str(&note);
        if of.len() < points.len() {
            let _ = write!(out, "\n  at {}", terminal(&of.join("; ")));
        }
        out.push('\n');
    }
}

fn reasons(run: &Results) -> Vec<String> {
    let arms = view::arms(run);
    let reasons = |arm: &ArmView<'_>| {
        let name = arm.arm();
        let reasons = arm.reasons().into_iter();
        reasons.map(move |reason| terminal(&format!("{name}: {reason}")))
    };
    arms.iter().flat_map(reasons).collect()
}

/// What chance does to the intervals shown above.
fn chance(run: &Results) -> Vec<String> {
    let taxed = |name: &str| TAXED.iter().any(|metric| metric.name() == name);
    let shown = view::compared(run).filter(|c| view::is_tax(c) && taxed(&c.metric));
    let chance = figures::chance(shown);
    chance.map(|text| wrap(&text, WIDTH)).into_iter().collect()
}

fn sides(run: &Results) -> Vec<String> {
    vec![wrap(view::sides_note(run), WIDTH)]
}

fn warnings(run: &Results) -> Vec<String> {
    let warnings = run.warnings.iter();
    let two_lines = warnings.map(|w| {
        let warning = terminal(&format!("warning: {} ({})", w.message, w.code));
        format!("{warning}\n  remedy: {}", terminal(&w.remedy))
    });
    two_lines.collect()
}

/// Columns of the terminal that the table is made for.
const WIDTH: usize = 100;

/// Breaks a text at spaces.
fn wrap(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

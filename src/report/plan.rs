//! Predictions as tables, a page and CSV.

use std::path::{Path, PathBuf};

use maud::html;

use super::page::frame;
use super::{remedy, staging};
use crate::error::Result;
use crate::plan::{Hosts, LEVEL, Planned, Planner, Prediction, Validation, Vm};
use crate::present::escape;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::units::{Bandwidth, GIB, Rate};

/// Links of the page's grid, bits a second.
const LINKS: [u64; 6] = [
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    25_000_000_000,
    40_000_000_000,
    100_000_000_000,
];
/// vSphere's rule: cores to reserve a Gbit/s of the link (Denneman 2018-06).
const RESERVED_A_GBIT: f64 = 0.1;

/// Per VM and arm what is expected, with its interval.
pub fn table(planned: &[Planned]) -> Table {
    let several = planned.len() > 1;
    let mut columns = vec![
        Column::text("arm"),
        Column::text("ends"),
        Column::figures("rounds", ""),
        Column::text("total time"),
        Column::text("downtime"),
        Column::figures("source", "cores"),
        Column::figures("destination", "cores"),
        Column::figures("wire", "GiB"),
        Column::text("binds"),
    ];
    if several {
        columns.insert(0, Column::group("VM"));
    }
    let rows = planned.iter().flat_map(|vm| {
        vm.predictions.iter().map(move |p| {
            let mut row = row(p);
            if several {
                row.insert(0, Cell::text(vm.name.clone()));
            }
            row
        })
    });
    let caption = format!(
        "expected, with the interval of {}% of migrations",
        text::sig3(100.0 * LEVEL)
    );
    Table::new("plan-table", caption, columns, rows.collect())
}

fn row(p: &Prediction) -> Vec<Cell> {
    let figure = |value: f64| Cell::figure(text::sig3(value), value);
    let timed = |value: f64, low: f64, high: f64| {
        Cell::figure(text::seconds(value), value).under(format!(
            "{} to {}",
            text::seconds(low),
            text::seconds(high)
        ))
    };
    let marked = |words: &str| match p.extrapolated {
        true => format!("{words}, extrapolated"),
        false => words.to_owned(),
    };
    let downtime = match (p.downtime_s, p.downtime_low_s, p.downtime_high_s) {
        (Some(value), Some(low), Some(high)) => timed(value, low, high),
        _ => Cell::none(),
    };
    vec![
        Cell::arm(p.arm),
        Cell::text(marked(&ends(p))),
        Cell::count(u64::from(p.rounds)),
        timed(p.total_time_s, p.total_time_low_s, p.total_time_high_s),
        downtime,
        figure(p.source_cores),
        figure(p.destination_cores),
        figure(p.bytes_on_wire as f64 / GIB),
        Cell::text(p.binds.to_string()),
    ]
}

fn ends(p: &Prediction) -> String {
    match p.converges {
        true => "converges".to_owned(),
        false => format!("does not: {}", p.ends),
    }
}

/// What a table does not say of a VM: limits that end it, and what lies beyond the run.
pub fn sentences(vm: &Planned) -> Vec<String> {
    let of = match vm.name.as_str() {
        "" => "this VM".to_owned(),
        name => name.to_owned(),
    };
    let mut all = Vec::new();
    for p in vm.predictions.iter().filter(|p| !p.converges) {
        let short = p.arm.row().short;
        let pause = text::seconds(p.expected_downtime_s);
        match remedy::limit_that_struck(&vm.scenario, &p.ends) {
            Some(limit) => all.push(format!("Under {limit} {of} is aborted with {short}.")),
            None => all.push(format!(
                "With {short} {of} does not converge: the pause would be {pause}."
            )),
        }
    }
    for p in vm.predictions.iter().filter(|p| p.writes_lost > 0.0) {
        let lost = text::sig3(100.0 * p.writes_lost);
        let short = p.arm.row().short;
        all.push(format!(
            "With {short} {of} loses {lost}% of its writes to the throttle."
        ));
    }
    if let Some(p) = vm.predictions.iter().find(|p| p.extrapolated) {
        all.push(format!(
            "Extrapolated: {}.",
            p.extrapolated_because.join("; ")
        ));
    }
    all
}

/// What the costs hold for.
pub fn basis(planner: &Planner, hosts: Hosts) -> String {
    let run = planner.run();
    let cores = match hosts {
        Hosts::Shared { cores } => {
            format!("both hosts and the vCPUs on one machine of {cores} cores")
        }
        Hosts::Apart { cores } => format!("two hosts with {cores} cores each for the migration"),
    };
    format!(
        "Costs of run {} of {} on {}; {cores}. On another CPU all of it is extrapolated.",
        run.scenario.title(),
        run.started_at,
        run.host.cpu_model
    )
}

/// One line a VM and arm.
pub fn csv(planned: &[Planned]) -> String {
    let mut out = String::from(
        "vm,arm,converges,ends,rounds,total_time_s,total_time_low_s,total_time_high_s,downtime_s,source_cpu_s,\
         destination_cpu_s,source_cores,destination_cores,bytes_on_wire,binds,extrapolated\r\n",
    );
    for vm in planned {
        for p in &vm.predictions {
            let cells = [
                escape::csv(&vm.name),
                p.arm.name().to_owned(),
                p.converges.to_string(),
                p.ends.clone(),
                p.rounds.to_string(),
                text::exact(p.total_time_s),
                text::exact(p.total_time_low_s),
                text::exact(p.total_time_high_s),
                p.downtime_s.map_or(String::new(), text::exact),
                text::exact(p.source_cpu_s),
                text::exact(p.destination_cpu_s),
                text::exact(p.source_cores),
                text::exact(p.destination_cores),
                p.bytes_on_wire.to_string(),
                p.binds.to_string(),
                p.extrapolated.to_string(),
            ];
            out.push_str(&cells.join(","));
            out.push_str("\r\n");
        }
    }
    out
}

/// Time against link and rate, an arm a table; and cores to reserve. For the VM that is given.
fn grids(planner: &Planner, vm: &Vm, planned: &Planned, hosts: Hosts) -> Result<Vec<Table>> {
    let asked = planned.scenario.workload.rate.0;
    let rates = [0, asked / 4, asked / 2, asked, 2 * asked, 4 * asked].map(Rate);
    let links = LINKS.map(Bandwidth::BitsPerSecond);
    let mut tables = Vec::new();
    let mut reserve = Vec::new();
    for arm in planned.predictions.iter().map(|p| p.arm) {
        let mut rows = Vec::new();
        let mut cores = vec![Cell::arm(arm)];
        for rate in rates.iter().filter(|rate| asked > 0 || rate.0 == 0) {
            let mut row = vec![Cell::text(rate_in_words(*rate))];
            for link in links {
                let vm = Vm {
                    link: Some(link),
                    rate: Some(*rate),
                    ..vm.clone()
                };
                let scenario = vm.scenario(&planner.run().scenario)?;
                let Some(p) = planner.predict_from(arm, &scenario, hosts, 10)? else {
                    continue;
                };
                if rate.0 == asked {
                    let most = p.source_cores.max(p.destination_cores);
                    cores.push(Cell::figure(text::sig3(most), most));
                }
                row.push(match p.converges {
                    true => Cell::figure(text::seconds(p.total_time_s), p.total_time_s)
                        .under(p.binds.to_string()),
                    false => Cell::text("does not converge"),
                });
            }
            rows.push(row);
            if asked == 0 {
                break;
            }
        }
        let mut columns = vec![Column::text("rate")];
        columns.extend(
            links
                .iter()
                .map(|link| Column::figures(link.to_string(), "")),
        );
        let caption = format!(
            "Total time with {}, by dirty rate and link; under it what binds",
            arm.row().short
        );
        tables.push(Table::new(
            format!("grid-{}", arm.name()),
            caption,
            columns,
            rows,
        ));
        reserve.push(cores);
    }
    let mut rule = vec![Cell::text("vSphere's rule")];
    rule.extend(LINKS.map(|bits| {
        let cores = RESERVED_A_GBIT * bits as f64 / 1e9;
        Cell::figure(text::sig3(cores), cores)
    }));
    reserve.push(rule);
    let mut columns = vec![Column::text("arm")];
    columns.extend(
        links
            .iter()
            .map(|link| Column::figures(link.to_string(), "cores")),
    );
    tables.push(Table::new(
        "reserve",
        "Cores to reserve on the busier host, beside 10% of a core for each 1 GbE",
        columns,
        reserve,
    ));
    Ok(tables)
}

fn rate_in_words(rate: Rate) -> String {
    format!("{}/s", text::bytes(rate.0 as f64))
}

/// Writes `index.html`, `plan.csv` and `summary.md` into `folder`; returns the files' paths, the page last.
///
/// # Errors
/// An input/output error on the folder; a VM of the grid that can't be.
pub fn write(
    planner: &Planner,
    vms: &[Vm],
    planned: &[Planned],
    hosts: Hosts,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let table = table(planned);
    let notes: Vec<String> = planned.iter().flat_map(sentences).collect();
    let grids = match (vms.first(), planned.first()) {
        (Some(vm), Some(first)) => grids(planner, vm, first, hosts)?,
        _ => Vec::new(),
    };
    let basis = basis(planner, hosts);
    let title = match planned {
        [one] => format!("Plan: {} guest", one.scenario.guest.memory),
        _ => format!("Plan: {} VMs", planned.len()),
    };
    let body = html! {
        header {
            p class="kicker" { "Predicted" }
            h1 { (title) }
            p { (basis) }
        }
        "\n"
        section id="tables" {
            (table.html())
            @if !notes.is_empty() {
                ul { @for note in &notes { li { (note) } } }
            }
        }
        "\n"
        section id="grids" {
            @if planned.len() > 1 {
                p class="note" { "The grids are for the first VM." }
            }
            @for grid in &grids { (grid.html()) }
        }
        "\n"
    };
    let page = frame::document(&format!("{title}: migtax"), &body);
    let mut summary = format!(
        "**{}**\n\n{}\n\n{}",
        escape::markdown(&title),
        escape::markdown(&basis),
        table.markdown()
    );
    for note in &notes {
        summary.push_str(&format!("- {}\n", escape::markdown(note)));
    }
    for grid in &grids {
        summary.push_str(&format!("\n{}", grid.markdown()));
    }
    let files = [
        ("plan.csv", csv(planned)),
        ("summary.md", summary),
        ("index.html", page),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes()));
    staging::write_files(folder, &files)
}

/// Errors of predictions, by figure, what binds and arm.
pub fn errors(validation: &Validation) -> Table {
    let percent = |share: f64| Cell::figure(text::percent(share), share);
    let maybe = |share: Option<f64>| share.map_or_else(Cell::none, percent);
    let rows = validation.errors.iter().map(|e| {
        vec![
            Cell::text(e.figure),
            Cell::text(e.bound),
            e.arm.map_or_else(|| Cell::text("all"), Cell::arm),
            Cell::count(e.points as u64),
            percent(e.median),
            percent(e.p90),
            maybe(e.geometric_median),
            maybe(e.constant_rate_median),
            Cell::count(e.migrations as u64),
            percent(e.single_median),
            maybe(e.repeated_median),
            percent(e.covered),
        ]
    });
    Table::new(
        "errors",
        "absolute errors of predictions, of the median of a point's migrations and of the medians of other models; \
         then of single migrations, with the others of the same point in place of a prediction beside them",
        vec![
            Column::text("figure"),
            Column::text("bound by"),
            Column::text("arm"),
            Column::figures("points", ""),
            Column::figures("median", ""),
            Column::figures("90th", "percentile"),
            Column::figures("geometric", "Liu 2011"),
            Column::figures("constant", "rate"),
            Column::figures("migrations", ""),
            Column::figures("median", "of one"),
            Column::figures("measured", "again"),
            Column::figures("within", "90% interval"),
        ],
        rows.collect(),
    )
}

/// How often the outcome was predicted, in words.
pub fn outcomes(validation: &Validation) -> String {
    let of = |outcomes: crate::plan::Outcomes| format!("{} of {}", outcomes.right, outcomes.of);
    format!(
        "converges or not: right in {} (geometric model {}, constant rate {}), away from the frontier by more \
         than 10%; {} migrations lie nearer",
        of(validation.converges),
        of(validation.geometric_converges),
        of(validation.constant_rate_converges),
        validation.near_the_frontier
    )
}

//! `migtax plan`: predicts for VMs and links that were not measured.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use crate::arm::Arm;
use crate::error::{Error, ExitCode, Result};
use crate::files::write_atomically;
use crate::plan::{self, Find, Hosts, Planned, Planner, Prediction, Target, Vm, WorkingSet};
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::plan as report;
use crate::run_folder;
use crate::scenario::Platform;
use crate::units::{Bandwidth, Rate, Size, Span};

/// VMs from which on an inventory is predicted from fewer courses each.
const MANY: usize = 100;
const FEW_COURSES: usize = 10;
const ALL_COURSES: usize = usize::MAX;

/// Arguments of `migtax plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run whose costs are taken: a run folder or its results.json
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Guest memory [default of these: as in the run]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Page writes per second times the page size
    #[arg(long, value_name = "SIZE/s")]
    rate: Option<Rate>,
    /// The link, such as 25Gbit/s or unlimited
    #[arg(long, value_name = "BANDWIDTH")]
    link: Option<Bandwidth>,
    /// The pause that pre-copy aims at; with --find, the pause at most
    #[arg(long, value_name = "D")]
    downtime_limit: Option<Span>,
    /// Time for pre-copy at most [default: the platform's; without one, the run's rounds bound it]
    #[arg(long, value_name = "D")]
    time_limit: Option<Span>,
    /// TCP connections, 1 to 64
    #[arg(long, value_name = "N")]
    streams: Option<u32>,
    /// vCPUs, 1 to 64
    #[arg(long, value_name = "N")]
    vcpus: Option<u32>,
    /// How much of the guest is written to: a share of its memory, or a size
    #[arg(long, value_name = "SHARE|SIZE")]
    working_set: Option<WorkingSet>,
    /// The platform whose limits stand where none are given
    #[arg(long, value_name = "P")]
    platform: Option<Platform>,
    /// Cores that each host has for the migration [default: as many as the run's machine]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    cores: Option<u32>,
    /// Both hosts and the vCPUs share the cores of one machine, as in a run on loopback
    #[arg(long)]
    one_machine: bool,
    /// Arms, separated by commas [default: those of the run]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    arms: Option<Vec<Arm>>,
    /// An inventory: a CSV file with a header line and a line a VM (name, memory, rate; link, streams, vcpus,
    /// working_set, downtime_limit, time_limit, platform)
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["memory", "rate"])]
    vms: Option<PathBuf>,
    /// Look for the least link, the least cores or the highest rate that converges and meets --total-time
    /// and --downtime-limit
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["vms", "validate"])]
    find: Option<Find>,
    /// With --find: the migration's time at most
    #[arg(long, value_name = "D", requires = "find")]
    total_time: Option<Span>,
    /// Predict the migrations of these runs, or of the runs in these folders, and print the errors
    #[arg(long, value_name = "RUN", num_args = 1.., conflicts_with = "vms")]
    validate: Option<Vec<PathBuf>>,
    /// Print JSON, and nothing else
    #[arg(long)]
    json: bool,
    /// Write the predictions to a CSV file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a page with grids of time by link and rate, summary.md and plan.csv into a folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    calibrated_on: Basis<'a>,
    predictions: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Basis<'a> {
    scenario: String,
    started_at: &'a str,
    cpu_model: &'a str,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    vm: &'a str,
    #[serde(flatten)]
    prediction: &'a Prediction,
}

/// Predicts, looks for or checks what the flags ask for, and prints it.
///
/// # Errors
/// Invalid input, before anything is written; an input/output error.
pub fn run(args: &Args) -> Result<ExitCode> {
    let planner = planner_of(&args.run)?;
    let arms = arms(args, &planner)?;
    if let Some(runs) = &args.validate {
        return validate(args, &planner, runs);
    }
    let cores = args.cores.unwrap_or(planner.run().host.cores).max(1);
    let hosts = match args.one_machine {
        true => Hosts::Shared { cores },
        false => Hosts::Apart { cores },
    };
    let common = Vm {
        name: String::new(),
        memory: args.memory,
        rate: args.rate,
        link: args.link,
        streams: args.streams,
        vcpus: args.vcpus,
        working_set: args.working_set,
        downtime_limit: args.downtime_limit,
        time_limit: args.time_limit,
        platform: args.platform,
    };
    if let Some(what) = args.find {
        return find(args, &planner, &arms, &common, hosts, what);
    }
    let vms = match &args.vms {
        Some(file) => plan::read_inventory(file, &common)?,
        None => vec![common],
    };
    let courses = if vms.len() > MANY {
        FEW_COURSES
    } else {
        ALL_COURSES
    };
    let planned: Vec<Planned> = vms
        .par_iter()
        .map(|vm| Planned::new(&planner, vm, &arms, hosts, courses))
        .collect::<Result<_>>()?;
    if let Some(file) = &args.csv {
        write_atomically(file, report::csv(&planned).as_bytes())?;
    }
    let written = match &args.out {
        Some(folder) => report::write(&planner, &vms, &planned, hosts, folder)?,
        None => Vec::new(),
    };
    if args.json {
        let named = planned.iter().flat_map(|vm| {
            let name = vm.name.as_str();
            vm.predictions.iter().map(move |prediction| Named {
                vm: name,
                prediction,
            })
        });
        super::print_json(&Output {
            calibrated_on: calibrated_on(&planner),
            predictions: named.collect(),
        })?;
        return Ok(ExitCode::Done);
    }
    println!("{}\n", report::basis(&planner, hosts));
    println!("{}", report::table(&planned).terminal());
    for sentence in planned.iter().flat_map(report::sentences) {
        println!("{sentence}");
    }
    if let Some(page) = written.last() {
        println!("{}", page.display());
    }
    Ok(ExitCode::Done)
}

/// The planner of a run that was named.
///
/// # Errors
/// If it is none, or nothing can be planned from it: with the file's name.
pub fn planner_of(run: &Path) -> Result<Planner> {
    Planner::new(&run_folder::read(run)?).map_err(|error| match error {
        Error::Invalid(text) => {
            Error::Invalid(format!("{}: {text}", run_folder::file_of(run).display()))
        }
        other => other,
    })
}

fn calibrated_on(planner: &Planner) -> Basis<'_> {
    let run = planner.run();
    Basis {
        scenario: run.scenario.title(),
        started_at: &run.started_at,
        cpu_model: &run.host.cpu_model,
    }
}

fn arms(args: &Args, planner: &Planner) -> Result<Vec<Arm>> {
    let known: Vec<Arm> = planner.arms().collect();
    let Some(asked) = &args.arms else {
        return Ok(known);
    };
    let names: Vec<&str> = known.iter().map(|arm| arm.name()).collect();
    for arm in asked {
        Error::unless(
            known.contains(arm),
            "--arms",
            arm,
            format_args!("arms that the run has costs of: {}", names.join(", ")),
        )?;
    }
    Ok(asked.clone())
}

fn find(
    args: &Args,
    planner: &Planner,
    arms: &[Arm],
    vm: &Vm,
    hosts: Hosts,
    what: Find,
) -> Result<ExitCode> {
    let target = Target {
        total_time: args.total_time,
        downtime: args.downtime_limit,
    };
    let mut found = Vec::new();
    for arm in arms {
        found.extend(plan::find(planner, *arm, vm, hosts, what, &target)?);
    }
    if args.json {
        #[derive(Serialize)]
        struct Answer<'a> {
            calibrated_on: Basis<'a>,
            found: &'a [plan::Found],
        }
        super::print_json(&Answer {
            calibrated_on: calibrated_on(planner),
            found: &found,
        })?;
        return Ok(ExitCode::Done);
    }
    let (name, none) = match what {
        Find::Link => ("least link", "none up to 400Gbit/s"),
        Find::Cores => ("least cores", "none up to 128"),
        Find::Rate => ("highest rate", "none from 1MiB/s"),
    };
    let rows = found.iter().map(|found| {
        let expected = found.prediction.as_ref();
        let seconds = |value: Option<f64>| {
            value.map_or_else(Cell::none, |v| Cell::figure(text::seconds(v), v))
        };
        vec![
            Cell::arm(found.arm),
            Cell::text(found.value.clone().unwrap_or_else(|| none.to_owned())),
            seconds(expected.map(|p| p.total_time_s)),
            seconds(expected.and_then(|p| p.downtime_s)),
            expected.map_or_else(Cell::none, |p| Cell::text(p.binds.to_string())),
            Cell::text(match expected {
                Some(p) if p.extrapolated => p.extrapolated_because.join("; "),
                _ => String::new(),
            }),
        ]
    });
    let columns = vec![
        Column::text("arm"),
        Column::text(name),
        Column::figures("total time", ""),
        Column::figures("downtime", ""),
        Column::text("binds"),
        Column::text("extrapolated"),
    ];
    println!("{}\n", report::basis(planner, hosts));
    let table = Table::new("found", "", columns, rows.collect());
    println!("{}", table.terminal());
    Ok(ExitCode::Done)
}

fn validate(args: &Args, planner: &Planner, runs: &[PathBuf]) -> Result<ExitCode> {
    let mut measured = Vec::new();
    for path in runs {
        for file in plan::runs_in(path)? {
            measured.push(run_folder::read(&file)?);
        }
    }
    let validation = plan::validate(planner, &measured)?;
    if args.json {
        super::print_json(&validation)?;
        return Ok(ExitCode::Done);
    }
    println!("{}", report::errors(&validation).terminal());
    println!("{}", report::outcomes(&validation));
    Ok(ExitCode::Done)
}

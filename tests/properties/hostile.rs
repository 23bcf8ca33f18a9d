//! What is made of results that a stranger has prepared: page, charts, tables, comparison of runs,
//! the gate's verdict in every format, and shards put together.
//!
//! Input: which simulated run is taken, then edits of it, four bytes each: what is done, where (two
//! bytes), with which value. So most inputs are whole results files with hostile figures, counts and
//! names, which mutations of the text hardly ever are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use migtax::arm::Arm;
use migtax::gate::format::{Format, bencher};
use migtax::gate::simulate::{self, Simulation};
use migtax::gate::{Config, builds, judge_runs};
use migtax::merge::{self, Part};
use migtax::report::csv::migrations_csv;
use migtax::report::markdown::summary;
use migtax::report::{self, chart, page, runs};
use migtax::results::{OutcomeStatus, Results, Shard};
use migtax::scenario::ClockKind;
use migtax::units::Bandwidth;
use migtax::{figures, run_folder};
use serde_json::Value;

use crate::refusal::one_line;

/// More text than any report of a run of a few migrations needs.
const LONGEST: usize = 32 << 20;

/// The most edits of one input.
const MOST_EDITS: usize = 64;

static RUNS: LazyLock<[Results; 4]> = LazyLock::new(|| {
    let run = |blocks, arms: &[Arm]| {
        let mut run = simulate::raw(&Simulation {
            blocks,
            arms: arms.to_vec(),
            ..Simulation::default()
        });
        run.scenario.analysis = String::new();
        run.host.cpu_features.truncate(2);
        run
    };
    let mut other = run(4, &[Arm::PLAIN, Arm::AWS_LC, Arm::RUSTCRYPTO_SOFT]);
    for migration in other.migrations.iter_mut().filter(|m| m.block > 1) {
        migration.outcome.status = OutcomeStatus::NotConverged;
        migration.outcome.reason = Some("round limit".to_owned());
    }
    let mut virtual_clock = run(2, &[Arm::PLAIN, Arm::COPY]);
    virtual_clock.scenario.measure.clock = ClockKind::Virtual;
    virtual_clock.scenario.migration.link = Bandwidth::BitsPerSecond(10_000_000_000);
    // A shard: of the first of two points the blocks that belong to it.
    virtual_clock.shard = Shard::of_points(1, 2, &[(); 2].map(|()| virtual_clock.scenario.clone()))
        .into_iter()
        .next();
    for migration in &mut virtual_clock.migrations {
        migration.block *= 2;
    }
    [
        run(1, &[Arm::PLAIN, Arm::AWS_LC]),
        run(6, &[Arm::PLAIN, Arm::COPY, Arm::AWS_LC]),
        other,
        virtual_clock,
    ]
});

const NUMBERS: [&str; 24] = [
    "0",
    "1",
    "-1",
    "5e-324",
    "2.3e-308",
    "1e-30",
    "1e-9",
    "1e-3",
    "0.5",
    "3",
    "1000",
    "4096",
    "262144",
    "1073741824",
    "31622400",
    "9007199254740992",
    "9007199254740993",
    "4294967295",
    "18446744073709551615",
    "1e30",
    "1.7976931348623157e308",
    "-1e308",
    "100",
    "1e15",
];

const TEXTS: [&str; 14] = [
    "",
    "<script>alert(1)</script>",
    "a|b\r\n::error::x",
    "\u{1b}[31mred",
    "![x](http://a.test/b)",
    "@someone #1 https://a.test",
    "=cmd()",
    "\u{202e}x\u{fffe}",
    "NaN",
    "../../etc/passwd",
    "plain",
    "copy",
    "aws-lc",
    "'\";--",
];

const FACTORS: [f64; 8] = [0.0, 1e-12, 1e-6, 0.5, 2.0, 1e3, 1e6, 1e12];

/// Whether the input became results that are accepted.
pub fn check(input: &[u8]) -> bool {
    let Some((&which, edits)) = input.split_first() else {
        return false;
    };
    let genuine = &RUNS[usize::from(which) % RUNS.len()];
    let mut edited = serde_json::to_value(genuine).expect("results are plain data");
    for edit in edits.chunks_exact(4).take(MOST_EDITS) {
        let [what, high, low, with] = *edit else {
            unreachable!("chunks of four")
        };
        apply(
            &mut edited,
            what,
            usize::from(high) << 8 | usize::from(low),
            usize::from(with),
        );
    }
    let text = serde_json::to_vec(&edited).expect("a value is plain data");
    match run_folder::parse(&text) {
        Ok(results) => {
            shown(results.clone(), which);
            judged(genuine, &results);
            merged(genuine, &results);
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

fn apply(run: &mut Value, what: u8, place: usize, with: usize) {
    let number = || -> Value {
        serde_json::from_str(NUMBERS[with % NUMBERS.len()]).expect("they are numbers")
    };
    match what % 9 {
        0 => {
            if let Some(leaf) = nth(run, place, &Value::is_number) {
                *leaf = number();
            }
        }
        1 => {
            if let Some(leaf) = nth(run, place, &Value::is_string) {
                *leaf = TEXTS[with % TEXTS.len()].into();
            }
        }
        2 => {
            if let Some(leaf) = nth(run, place, &|v| v.is_boolean() || v.is_null()) {
                *leaf = [Value::Null, true.into(), false.into(), number()][with % 4].clone();
            }
        }
        // A field of every migration.
        3 => {
            let mut names = BTreeMap::new();
            count_names(&run["migrations"], &mut names);
            if let Some((name, _)) = names.into_iter().nth(place % 64) {
                set_named(&mut run["migrations"], &name, &number());
            }
        }
        // All times of one migration, or of all: what adds up still does.
        4 => {
            let factor = FACTORS[with % FACTORS.len()];
            let migrations = run["migrations"].as_array_mut();
            for (index, migration) in migrations.into_iter().flatten().enumerate() {
                if place == 0 || place % 16 == index {
                    scale_times(migration, factor);
                }
            }
        }
        5 => {
            if let Some(Value::Array(items)) = nth(run, place, &|v| v.is_array())
                && let Some(item) = items.get(with % items.len().max(1)).cloned()
                && items.len() < 64
            {
                items.push(item);
            }
        }
        6 => {
            if let Some(Value::Array(items)) = nth(run, place, &|v| v.is_array())
                && !items.is_empty()
            {
                items.remove(with % items.len());
            }
        }
        7 => {
            let migrations = run["migrations"].as_array_mut();
            if let Some(migration) = migrations.and_then(|all| {
                let at = place % all.len().max(1);
                all.get_mut(at)
            }) {
                let status = ["completed", "not_converged", "failed", "fell_back"][with % 4];
                migration["outcome"]["status"] = status.into();
                migration["outcome"]["reason"] = TEXTS[with % TEXTS.len()].into();
            }
        }
        // A migration once more, in a block of its own.
        _ => {
            if let Some(all) = run["migrations"].as_array_mut()
                && let Some(mut migration) = all.get(place % all.len().max(1)).cloned()
                && all.len() < 64
            {
                migration["block"] = (with * 3900).into();
                all.push(migration);
            }
        }
    }
}

/// The leaf or list at a place among those of a kind, in order, round and round.
fn nth<'a>(value: &'a mut Value, n: usize, kind: &dyn Fn(&Value) -> bool) -> Option<&'a mut Value> {
    fn count(value: &Value, kind: &dyn Fn(&Value) -> bool) -> usize {
        let inside: usize = match value {
            Value::Array(items) => items.iter().map(|item| count(item, kind)).sum(),
            Value::Object(fields) => fields.values().map(|item| count(item, kind)).sum(),
            _ => 0,
        };
        inside + usize::from(kind(value))
    }
    fn find<'a>(
        value: &'a mut Value,
        n: &mut usize,
        kind: &dyn Fn(&Value) -> bool,
    ) -> Option<&'a mut Value> {
        if kind(value) {
            if *n == 0 {
                return Some(value);
            }
            *n -= 1;
        }
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| find(item, n, kind)),
            Value::Object(fields) => fields.values_mut().find_map(|item| find(item, n, kind)),
            _ => None,
        }
    }
    let all = count(value, kind);
    find(value, &mut (n % all.max(1)), kind)
}

fn count_names(value: &Value, names: &mut BTreeMap<String, usize>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| count_names(item, names)),
        Value::Object(fields) => {
            for (name, item) in fields {
                if item.is_number() {
                    *names.entry(name.clone()).or_default() += 1;
                }
                count_names(item, names);
            }
        }
        _ => {}
    }
}

fn set_named(value: &mut Value, wanted: &str, number: &Value) {
    match value {
        Value::Array(items) => {
            for item in items {
                set_named(item, wanted, number);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                if name == wanted && item.is_number() {
                    *item = number.clone();
                }
                set_named(item, wanted, number);
            }
        }
        _ => {}
    }
}

fn scale_times(value: &mut Value, factor: f64) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| scale_times(item, factor)),
        Value::Object(fields) => {
            for (name, item) in fields {
                match item.as_f64() {
                    Some(time) if name.ends_with("_s") => *item = (time * factor).into(),
                    _ => scale_times(item, factor),
                }
            }
        }
        _ => {}
    }
}

/// Every report can be made, of a bounded size, and once the run was gone on with it can still be
/// read.
fn shown(mut results: Results, which: u8) {
    results.comparisons = figures::comparisons(&results);
    results.warnings = figures::warnings(&results);
    let json = serde_json::to_vec(&results).expect("results are plain data");
    let results = run_folder::parse(&json).expect("what this build derives is accepted");
    let charts = chart::of_run(&results);
    // Compression takes longest: a part of the inputs is enough for it.
    if which >= 0xf0 {
        chart::pngs(&charts).expect("charts are drawn");
    }
    let page = page::render(&results, &charts).expect("a page is made");
    let beside: Vec<_> = [(PathBuf::from("run/results.json"), results.clone())]
        .into_iter()
        .chain([(PathBuf::from("genuine/results.json"), RUNS[1].clone())])
        .collect();
    let compared = runs::page_of(&beside).expect("runs are put side by side");
    let table = report::console_table(&[&results]);
    let stray = |c: char| c.is_control() && c != '\n';
    assert!(!table.contains(stray), "{table:?}");
    for text in [page, compared] {
        assert!(text.len() <= LONGEST);
        assert!(!text.contains("<script>alert"), "markup of a stranger's");
    }
    for text in [table, summary(&results), migrations_csv(&results)] {
        assert!(text.len() <= LONGEST);
    }
}

/// A stranger's shard is put together with a genuine one, and what comes of it is accepted; or it is
/// refused in one line.
fn merged(genuine: &Results, hostile: &Results) {
    let part = |file: &str, results: &Results| Part {
        file: PathBuf::from(file),
        results: results.clone(),
    };
    let mut other = genuine.clone();
    if let Some(shard) = &mut other.shard {
        shard.index = 2;
        other.migrations.iter_mut().for_each(|m| m.block += 1);
    }
    let pair = vec![part("genuine", &other), part("hostile", hostile)];
    for parts in [vec![part("hostile", hostile)], pair] {
        match merge::merge(parts) {
            Ok(whole) => {
                for results in whole.machines.iter().flatten() {
                    let json = serde_json::to_vec(results).expect("results are plain data");
                    run_folder::parse(&json).expect("what this build merges is accepted");
                }
            }
            Err(error) => one_line(&error),
        }
    }
}

/// The genuine shards belong together, or the property above would hold of refusals alone.
#[test]
fn genuine_shards_are_put_together() {
    let genuine = &RUNS[3];
    let mut other = genuine.clone();
    other.shard.as_mut().expect("a shard").index = 2;
    other.migrations.iter_mut().for_each(|m| m.block += 1);
    let parts = [genuine, &other].map(|results| Part {
        file: PathBuf::from("part"),
        results: results.clone(),
    });
    let whole = merge::merge(parts.into()).unwrap();
    assert_eq!(whole.machines[0][0].migrations.len(), 8);
}

/// The gate answers, whichever side the stranger's run is on, and so does it for builds.
fn judged(genuine: &Results, hostile: &Results) {
    let config = Config::built_in();
    let names = || ["genuine", "hostile"].map(str::to_owned);
    for report in [
        judge_runs(genuine, hostile, &config, names()),
        judge_runs(hostile, genuine, &config, names()),
        builds::judge_first(genuine, hostile, &config, names()),
    ] {
        for format in [Format::Text, Format::Json, Format::Markdown, Format::Junit] {
            let text = format.print(&report);
            assert!(text.len() <= LONGEST);
            assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
        }
    }
    assert!(bencher(hostile).len() <= LONGEST);
}

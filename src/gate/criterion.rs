//! Two baselines of criterion's, as `cargo bench -- --save-baseline NAME` leaves them under
//! `target/criterion`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::config::Config;
use super::decide::{Question, Values, decide};
use super::verdict::{Report, Row};
use crate::error::{Error, Result};
use crate::figures::Direction;
use crate::files;
use crate::stats;

/// Folders deeper than this are not criterion's.
const DEEPEST: u32 = 6;

/// A larger file is not criterion's.
const LARGEST_BYTES: u64 = 64 << 20;

/// `benchmark.json`, in the part that names the benchmark.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

/// `sample.json`: iterations and nanoseconds of each sample, in time order.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Judges criterion's baseline `candidate` against `baseline`, both under `folder`.
///
/// # Errors
/// [`Error::Invalid`] if the folder or a baseline isn't there, or a file in it is damaged.
pub fn judge(folder: &Path, baseline: &str, candidate: &str, config: &Config) -> Result<Report> {
    let batches = config.criterion.batches;
    let mut before = BTreeMap::new();
    let mut now = BTreeMap::new();
    collect(folder, baseline, batches, DEEPEST, &mut before)?;
    collect(folder, candidate, batches, DEEPEST, &mut now)?;
    for (name, found) in [(baseline, &before), (candidate, &now)] {
        if found.is_empty() {
            return Err(Error::Invalid(format!(
                "{}: no baseline \"{name}\": make one with cargo bench -- --save-baseline {name}",
                folder.display()
            )));
        }
    }
    let refusal = |name: &str, why| Row::incomparable(name, "time", why);
    let missing = |name: &str, side: &str| {
        let why = format!("baseline \"{side}\" has no such benchmark");
        refusal(name, why)
    };
    let mut rows = Vec::new();
    let mut asked = Vec::new();
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for name in names {
        match (before.get(name), now.get(name)) {
            // Criterion leaves a deleted benchmark's files where they are.
            (Some(a), Some(b)) if a == b => rows.push(refusal(
                name,
                format!("\"{candidate}\" holds the same samples as \"{baseline}\": it was not measured again"),
            )),
            (Some(a), Some(b)) => asked.push(question(name, a, b, config)),
            (Some(_), None) => rows.push(missing(name, candidate)),
            (None, _) => rows.push(missing(name, baseline)),
        }
    }
    rows.extend(decide(&asked, &[], config.strictness()));
    let notes = vec![
        "the two baselines were measured at different times: drift of the machine reads as a change; `migtax ab` measures in turns"
            .to_owned(),
    ];
    let named = |name: &str| format!("criterion {name}");
    Ok(Report::of(named(baseline), named(candidate), rows, notes))
}

fn question(name: &str, baseline: &[f64], candidate: &[f64], config: &Config) -> Question {
    let logs = |values: &[f64]| values.iter().map(|v| libm::log(*v)).collect();
    let median = |values: &[f64]| stats::median(values).unwrap_or(0.0);
    Question {
        arm: name.to_owned(),
        metric: "time".to_owned(),
        unit: "ns",
        direction: Direction::LowerIsBetter,
        values: Values::TwoSample(logs(baseline), logs(candidate)),
        medians: [median(baseline), median(candidate)],
        reference: None,
        relative_floor: config.criterion.relative_floor,
        absolute_floor: 0.0,
        tolerance: config.criterion.tolerance,
        blocking: true,
    }
}

/// Finds every `NAME/benchmark.json` below a folder.
fn collect(
    folder: &Path,
    name: &str,
    batches: usize,
    depth: u32,
    found: &mut BTreeMap<String, Vec<f64>>,
) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|e| Error::reading(folder, e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::reading(folder, e))?.path();
        if !path.is_dir() {
            continue;
        }
        if path.file_name().is_some_and(|f| f == name) && path.join("benchmark.json").is_file() {
            let benchmark = from_file(&path.join("benchmark.json"), benchmark_name)?;
            let values = from_file(&path.join("sample.json"), |json| batches_of(json, batches))?;
            found.insert(benchmark, values);
        } else if depth > 0 {
            collect(&path, name, batches, depth - 1, found)?;
        }
    }
    Ok(())
}

fn from_file<T>(file: &Path, parse: impl Fn(&[u8]) -> Result<T>) -> Result<T> {
    parse(&files::read(file, LARGEST_BYTES)?)
        .map_err(|e| Error::Invalid(format!("{}: {e}", file.display())))
}

/// The benchmark that the text of a `benchmark.json` names.
///
/// # Errors
/// [`Error::Invalid`] in one line, without the file's name.
pub fn benchmark_name(json: &[u8]) -> Result<String> {
    let benchmark: Benchmark = serde_json::from_slice(json).map_err(not_criterions)?;
    Ok(benchmark.full_id)
}

/// Nanoseconds per iteration in each of `batches` parts of the samples in the text of a
/// `sample.json`, in time order: finite and above 0.
///
/// # Errors
/// [`Error::Invalid`] in one line, without the file's name.
pub fn batches_of(json: &[u8], batches: usize) -> Result<Vec<f64>> {
    let sample: Sample = serde_json::from_slice(json).map_err(not_criterions)?;
    batch(&sample, batches).ok_or_else(|| {
        Error::Invalid(format!(
            "{} samples, {} times: at least {batches} of each, all above 0, as are their quotients",
            sample.iters.len(),
            sample.times.len()
        ))
    })
}

fn not_criterions(error: serde_json::Error) -> Error {
    Error::Invalid(format!("not criterion's: {error}"))
}

/// Nanoseconds per iteration: the median of each batch of successive samples.
fn batch(sample: &Sample, batches: usize) -> Option<Vec<f64>> {
    let n = sample.iters.len();
    let valid = |v: &f64| v.is_finite() && *v > 0.0;
    if n < batches
        || n != sample.times.len()
        || !sample.iters.iter().chain(&sample.times).all(valid)
    {
        return None;
    }
    let pairs = sample.times.iter().zip(&sample.iters);
    let per_iteration: Vec<f64> = pairs.map(|(time, iterations)| time / iterations).collect();
    // Far apart enough, two valid numbers have no valid quotient, nor mean.
    per_iteration.iter().all(valid).then_some(())?;
    (0..batches)
        .map(|i| stats::median(&per_iteration[i * n / batches..(i + 1) * n / batches]))
        .map(|median| median.filter(valid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Verdict;
    use crate::stats::Random;

    /// A benchmark as criterion 0.8 leaves it.
    fn save(folder: &Path, benchmark: &str, baseline: &str, factor: f64) {
        let path = folder.join(benchmark).join(baseline);
        fs::create_dir_all(&path).unwrap();
        let named = benchmark.bytes().chain(baseline.bytes());
        let mut random = Random::new(named.map(u64::from).sum(), 0);
        let iters: Vec<f64> = (1..=100).map(|i| f64::from(i) * 10.0).collect();
        let times: Vec<f64> = iters
            .iter()
            .map(|i| i * 250.0 * factor * libm::exp(0.01 * random.normal()))
            .collect();
        let sample = serde_json::json!({"sampling_mode": "Linear", "iters": iters, "times": times});
        fs::write(path.join("sample.json"), sample.to_string()).unwrap();
        let id = serde_json::json!({
            "group_id": "aead", "function_id": "seal", "value_str": null, "throughput": null,
            "full_id": benchmark, "directory_name": benchmark, "title": benchmark,
        });
        fs::write(path.join("benchmark.json"), id.to_string()).unwrap();
        fs::write(path.join("estimates.json"), "{}").unwrap();
    }

    #[test]
    fn quotients_beyond_all_numbers_are_refused() {
        for (iters, times) in [("1e-300", "1e300"), ("1e300", "1e-300")] {
            let list = |value: &str| vec![value; 20].join(",");
            let (iters, times) = (list(iters), list(times));
            let json = format!("{{\"iters\": [{iters}], \"times\": [{times}]}}");
            let error = batches_of(json.as_bytes(), 10).unwrap_err().to_string();
            assert!(error.contains("quotients"), "{error}");
        }
    }

    #[test]
    fn baselines_are_judged_and_missing_benchmarks_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let config = Config::built_in();
        for (name, factor) in [("aead/seal", 1.0), ("aead/open", 1.0), ("wire", 1.0)] {
            save(at, name, "main", factor);
            save(at, name, "same", factor * 1.001);
            save(
                at,
                name,
                "new",
                factor * if name == "wire" { 1.3 } else { 1.0 },
            );
        }
        fs::create_dir_all(at.join("aead/report")).unwrap();
        let verdict = |a, b| judge(at, a, b, &config).unwrap();
        assert_eq!(verdict("main", "same").verdict, Verdict::Pass);
        let report = verdict("main", "new");
        assert_eq!(report.verdict, Verdict::Regressed);
        assert!(report.sentence.contains("wire"), "{}", report.sentence);
        assert_eq!(verdict("new", "main").verdict, Verdict::Improved);
        let report = verdict("main", "main");
        assert_eq!(report.verdict, Verdict::Incomparable);
        assert!(report.sentence.contains("not measured again"), "{report:?}");

        save(at, "extra", "new", 1.0);
        assert_eq!(verdict("main", "new").verdict, Verdict::Incomparable);
        assert_eq!(verdict("new", "main").verdict, Verdict::Incomparable);
        let error = judge(at, "main", "nothing", &config).unwrap_err();
        assert!(error.to_string().contains("--save-baseline nothing"));

        fs::write(
            at.join("wire/new/sample.json"),
            "{\"iters\": [1.0], \"times\": [1.0]}",
        )
        .unwrap();
        let error = judge(at, "main", "new", &config).unwrap_err().to_string();
        assert!(
            error.contains("sample.json") && error.contains("at least 10"),
            "{error}"
        );
        assert!(judge(&at.join("nowhere"), "a", "b", &config).is_err());
    }
}

use super::*;
use crate::arm::Arm;
use crate::error::ExitCode;

fn case(name: &str, arm: Option<Arm>, runs: &[u64]) -> Case {
    let least = runs.iter().copied().min().unwrap_or(0);
    Case {
        name: name.to_owned(),
        arm,
        work: "4 records of 64KiB".to_owned(),
        instructions: least,
        runs: runs.to_vec(),
        backend_version: "AWS-LC 1.62.0".to_owned(),
        implementation: "AES-NI and PCLMULQDQ".to_owned(),
        engaged_features: vec!["aes".to_owned()],
        functions: vec![
            Function {
                name: "cipher".to_owned(),
                instructions: least / 2,
            },
            Function {
                name: "memcpy".to_owned(),
                instructions: least / 4,
            },
        ],
    }
}

/// Two cases, the first of which took `runs`.
fn counts(runs: &[u64]) -> Counts {
    Counts {
        schema_version: SCHEMA_VERSION,
        migtax_version: "0.1.0".to_owned(),
        valgrind_version: "valgrind-3.19.0".to_owned(),
        rustc_version: "rustc version 1.95.0".to_owned(),
        target: "x86_64-linux-gnu".to_owned(),
        libc_version: "glibc 2.36".to_owned(),
        host: Host {
            cpu_model: "a CPU".to_owned(),
            cpu_features: vec!["aes".to_owned(), "vaes".to_owned()],
        },
        cpu_features_seen: vec!["aes".to_owned()],
        injected_seal_slowdown: None,
        cases: vec![
            case("seal/aws-lc/64KiB", Some(Arm::AWS_LC), runs),
            case("encode/64-runs", None, &[5_000]),
        ],
    }
}

fn judged(baseline: &Counts, candidate: &Counts) -> Report {
    let names = ["main.json".to_owned(), "new.json".to_owned()];
    judge(baseline, candidate, 0.005, names)
}

#[test]
fn the_threshold_and_the_spread_decide() {
    use Verdict::{Improved, Inconclusive, Pass, Regressed};
    let table: &[(&[u64], &[u64], Verdict, ExitCode)] = &[
        (&[1_000_000], &[1_000_000], Pass, ExitCode::Done),
        (&[1_000_000], &[1_005_000], Pass, ExitCode::Done),
        (&[1_000_000], &[995_000], Pass, ExitCode::Done),
        (&[1_000_000], &[1_005_001], Regressed, ExitCode::Regression),
        (&[1_000_000], &[994_999], Improved, ExitCode::Done),
        (&[1_000_000], &[1], Improved, ExitCode::Done),
        // Repetitions that are 0.2% apart.
        (&[1_000_000, 1_002_000], &[1_002_900], Pass, ExitCode::Done),
        (
            &[1_002_000, 1_000_000],
            &[1_003_100],
            Inconclusive,
            ExitCode::Inconclusive,
        ),
        (
            &[1_000_000, 1_002_000],
            &[1_006_900],
            Inconclusive,
            ExitCode::Inconclusive,
        ),
        (
            &[1_000_000, 1_002_000],
            &[1_007_100],
            Regressed,
            ExitCode::Regression,
        ),
        (&[1_000_000], &[994_000, 998_000], Pass, ExitCode::Done),
    ];
    for (before, now, expected, code) in table {
        let report = judged(&counts(before), &counts(now));
        let row = &report.rows[1];
        assert_eq!(row.verdict, *expected, "{before:?} {now:?}: {row:?}");
        assert_eq!(report.verdict.exit_code(), *code, "{before:?} {now:?}");
        assert_eq!(row.tier, Tier::Instructions);
        assert_eq!(row.sentence.lines().count(), 1);
        assert_eq!(
            report.rows[0].verdict, Pass,
            "the other case did not change"
        );
    }
}

#[test]
fn sentences_say_what_changed_and_where() {
    let report = judged(&counts(&[1_000_000]), &counts(&[1_100_000]));
    let expected = "+10.0% (1000000 to 1100000 instructions); the threshold is 0.50%; most of it in cipher, 500000 to 550000";
    assert_eq!(report.rows[1].sentence, expected);
    let mut grown = counts(&[1_100_000]);
    grown.cases[0].functions.push(Function {
        name: "checksum".to_owned(),
        instructions: 90_000,
    });
    let report = judged(&counts(&[1_000_000]), &grown);
    let sentence = &report.rows[1].sentence;
    assert!(
        sentence.ends_with("most of it in checksum, 0 to 90000"),
        "{sentence}"
    );
    let report = judged(&counts(&[1_000_000]), &counts(&[900_000]));
    let sentence = &report.rows[1].sentence;
    assert!(
        sentence.ends_with("in cipher, 500000 to 450000"),
        "{sentence}"
    );
    let report = judged(&counts(&[1_000_000]), &counts(&[1_000_100]));
    let expected = "+0.010% (1000000 to 1000100 instructions); the threshold is 0.50%";
    assert_eq!(report.rows[1].sentence, expected);
}

type Change = fn(&mut Counts);

#[test]
fn what_is_not_the_same_is_incomparable() {
    let table: &[(&str, Change)] = &[
        ("valgrind_version differs", |c| {
            c.valgrind_version = "valgrind-3.25.0".to_owned();
        }),
        ("target differs", |c| {
            c.target = "aarch64-linux-gnu".to_owned()
        }),
        ("libc_version differs", |c| {
            c.libc_version = "glibc 2.41".to_owned();
        }),
        ("cpu_features_seen differs", |c| {
            c.cpu_features_seen.push("avx2".to_owned());
        }),
        ("new.json has no such case", |c| {
            c.cases.pop();
        }),
        ("main.json has no such case", |c| {
            c.cases.push(case("extra", None, &[5]));
        }),
        ("the arm differs: aws-lc and rustcrypto", |c| {
            c.cases[0].arm = Some(Arm::RUSTCRYPTO);
        }),
        ("the work differs", |c| {
            c.cases[0].work = "8 records of 64KiB".to_owned();
        }),
        ("the code path differs", |c| {
            c.cases[0].engaged_features.push("vaes".to_owned());
        }),
        ("the code path differs", |c| {
            c.cases[0].implementation = "portable".to_owned();
        }),
        ("there is nothing", |c| c.cases.clear()),
    ];
    for (expected, change) in table {
        let mut baseline = counts(&[1_000_000]);
        let mut candidate = baseline.clone();
        change(&mut candidate);
        if candidate.cases.is_empty() {
            baseline.cases.clear();
        }
        let report = judged(&baseline, &candidate);
        assert_eq!(report.verdict, Verdict::Incomparable, "{expected}");
        assert!(
            report.sentence.contains(expected),
            "{expected}: {}",
            report.sentence
        );
    }
}

/// `rustcrypto` at the candidate takes ten times what `aws-lc` took: nobody compares the two.
#[test]
fn arms_are_never_compared_with_each_other() {
    let two = |other: u64| {
        let mut counts = counts(&[1_000_000]);
        let arm = Some(Arm::RUSTCRYPTO);
        counts
            .cases
            .push(case("seal/rustcrypto/64KiB", arm, &[other]));
        counts
    };
    let report = judged(&two(10_000_000), &two(10_000_000));
    assert_eq!(report.verdict, Verdict::Pass);
    let figures = |row: &Row| row.figures.map(|f| (f.baseline, f.candidate));
    for row in &report.rows {
        let (before, now) = figures(row).expect("every row has figures");
        assert_eq!(before, now, "{}", row.arm);
    }
}

#[test]
fn notes_tell_the_code_path_and_what_else_differs() {
    let baseline = counts(&[1_000_000]);
    let report = judged(&baseline, &baseline);
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    assert!(
        report.notes[1]
            .contains("hid vaes of this CPU from the program; counted were aws-lc as AES-NI"),
        "{:?}",
        report.notes
    );
    let mut candidate = baseline.clone();
    candidate.rustc_version = "rustc version 1.96.0".to_owned();
    candidate.host.cpu_model = "another CPU".to_owned();
    candidate.cases[0].backend_version = "AWS-LC 1.63.0".to_owned();
    candidate.injected_seal_slowdown = Some(0.1);
    let report = judged(&baseline, &candidate);
    assert_eq!(report.verdict, Verdict::Pass, "notes decide nothing");
    let notes = report.notes.join("\n");
    for expected in ["1.96.0", "another CPU", "AWS-LC 1.63.0", "on purpose"] {
        assert!(notes.contains(expected), "{expected}: {notes}");
    }
}

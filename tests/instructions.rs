//! What `cargo bench --bench instructions` is made of. Tests that need valgrind say so and do
//! nothing where it is missing.

// The bench uses all of these; this file does not.
#![allow(dead_code)]

#[path = "../benches/instructions/callgrind.rs"]
mod callgrind;
#[path = "../benches/instructions/options.rs"]
mod options;
#[path = "../benches/instructions/pass.rs"]
mod pass;

use callgrind::{Count, migtax_counted};
use migtax::arm::Arm;
use migtax::crypto;
use migtax::gate::instructions::{Case, Counts, Function, Host, SCHEMA_VERSION, judge};
use migtax::gate::{Config, Verdict};
use migtax::machine::slowdown::Slowed;
use options::Options;
use pass::Pass;

/// What callgrind counts in the tests below, in a process of its own. By itself it is a test too.
#[test]
fn a_migration() {
    let mut pass = Pass::new(Arm::COPY);
    pass.migrate(migtax_counted);
    pass.check();
}

/// Counts [`a_migration`]; `None`, said aloud, without valgrind.
fn counted(environment: &[(&str, String)]) -> Option<Count> {
    if callgrind::version().is_none() {
        eprintln!("skipped: valgrind is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("callgrind.out");
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "a_migration", "--test-threads=1"];
    Some(callgrind::count(&program, &arguments, environment, &out).unwrap())
}

fn counts(count: &Count) -> Counts {
    let text = |text: &str| text.to_owned();
    Counts {
        schema_version: SCHEMA_VERSION,
        migtax_version: text("0.1.0"),
        valgrind_version: text("valgrind"),
        rustc_version: text("rustc"),
        target: text("here"),
        libc_version: text("libc"),
        host: Host {
            cpu_model: text("a CPU"),
            cpu_features: Vec::new(),
        },
        cpu_features_seen: Vec::new(),
        injected_seal_slowdown: None,
        cases: vec![Case {
            name: text("migration/copy"),
            arm: Some(Arm::COPY),
            work: Pass::work(),
            instructions: count.instructions,
            runs: vec![count.instructions],
            backend_version: text("migtax"),
            implementation: text("copy"),
            engaged_features: Vec::new(),
            functions: count.functions.clone(),
        }],
    }
}

#[test]
fn equal_work_has_equal_counts_and_more_work_is_found() {
    let (Some(first), Some(second)) = (counted(&[]), counted(&[])) else {
        return;
    };
    assert_eq!(first.instructions, second.instructions);
    assert_eq!(first.functions, second.functions);
    assert!(!first.functions.is_empty());
    let own: u64 = first.functions.iter().map(|f| f.instructions).sum();
    assert!(own <= first.instructions);
    assert!(
        own > first.instructions * 8 / 10,
        "the dearest functions are most of it: {own} of {}",
        first.instructions
    );

    let slower = counted(&[(Slowed::Seal.variable(), "5".to_owned())]).expect("as before");
    let threshold = Config::built_in().instructions.threshold;
    let verdict = |candidate: &Count| {
        let names = ["before".to_owned(), "after".to_owned()];
        judge(&counts(&first), &counts(candidate), threshold, names)
    };
    assert_eq!(verdict(&second).verdict, Verdict::Pass);
    let report = verdict(&slower);
    assert_eq!(report.verdict, Verdict::Regressed, "{}", report.sentence);
}

#[test]
fn a_program_that_never_enters_the_marker_is_an_error() {
    if callgrind::version().is_none() {
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let count = |program: &str| {
        let out = folder.path().join("callgrind.out");
        callgrind::count(std::path::Path::new(program), &[], &[], &out).unwrap_err()
    };
    assert!(count("/bin/true").contains("nothing was counted"));
    let failed = count("/bin/false");
    assert!(failed.contains("exit status: 1"), "{failed}");
}

#[test]
fn a_migration_in_one_thread_moves_the_guest_in_every_arm() {
    for arm in Arm::own() {
        if let Err(missing) = crypto::supported(arm) {
            eprintln!("{arm}: skipped, needs {}", missing.join(", "));
            continue;
        }
        let mut pass = Pass::new(arm);
        let mut parts = 0;
        pass.migrate(|work| {
            work();
            parts += 1;
        });
        assert_eq!(parts, 4, "three rounds and the switchover");
        pass.check();
    }
}

#[test]
fn a_profile_is_read_as_callgrind_means_it() {
    let profile = "\
version: 1
creator: callgrind-3.19.0
positions: line
events: Ir
summary: 100

ob=(1) /some/program
fl=(1) a.rs
fn=(1) krate::outer::h0123456789abcdef
10 5
+3 7
cfn=(2) aws_lc_0_47_0_cipher
calls=2 20
* 80
fn=(2)
20 60
fn=(3) krate[0123456789abcdef]::<[u8]>::inner
* 20
fn=(1)
-2 8

totals: 100
";
    let function = |name: &str, instructions| Function {
        name: name.to_owned(),
        instructions,
    };
    let expected = vec![
        function("cipher", 60),
        function("krate::<[u8]>::inner", 20),
        function("krate::outer", 20),
    ];
    assert_eq!(callgrind::parse(profile), Ok((100, expected)));
    let error = callgrind::parse("events: Ir\nsummary: 0\ntotals: 0\n").unwrap_err();
    assert!(error.contains("nothing was counted"), "{error}");
    let cut = profile.split("summary").next().unwrap();
    assert!(callgrind::parse(cut).unwrap_err().contains("no total"));
}

#[test]
fn flags_of_criterion_are_taken_and_those_of_others_refused_in_one_line() {
    let parse = |line: &str| Options::parse(line.split_whitespace().map(str::to_owned).collect());
    let line = "--bench --save-baseline main --sample-size 10 --noplot --color=never seal open";
    let options = parse(line).unwrap();
    assert_eq!(options.save, "main");
    assert_eq!(options.filters, ["seal", "open"]);
    assert!(!options.test);
    assert!(options.wants("seal/aws-lc/64KiB") && !options.wants("harvest/bitmap"));
    let options = parse("--save=new --repetitions 3").unwrap();
    assert_eq!((options.save.as_str(), options.repetitions), ("new", 3));
    assert!(options.wants("anything"));
    assert!(parse("--bench --test").unwrap().test);
    for (line, expected) in [
        ("--save ../x", "--save = ../x"),
        ("--save .x", "--save = .x"),
        ("--save", "--save: a name is missing"),
        ("--repetitions 0", "--repetitions = 0: 1 to 100"),
        ("--repetitions many", "--repetitions = many: 1 to 100"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.starts_with(expected), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

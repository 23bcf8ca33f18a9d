//! Scenario files: what is embedded, what is read, what is refused and how.

use std::collections::BTreeSet;
use std::time::Duration;

use migtax::error::ExitCode;
use migtax::precopy::{DowntimeGrowth, OnStall, Throttle};
use migtax::scenario::{self, EMBEDDED, Scenario};
use migtax::units::{Bandwidth, Size, Span};

/// The error for a scenario with the given text after its name, checked to be one line.
fn refusal(text: &str) -> String {
    let error = scenario::parse("x.toml", &format!("name = \"x\"\n{text}"))
        .expect_err(&format!("accepted: {text}"));
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    assert!(text.starts_with("x.toml: "), "{text}");
    text
}

#[test]
fn every_file_is_embedded_under_its_name_with_an_analysis() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/scenarios");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            assert_eq!(path.extension().unwrap(), "toml", "{}", path.display());
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    let listed: BTreeSet<String> = EMBEDDED
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(files, listed);
    assert_eq!(EMBEDDED.len(), listed.len());
    for (name, scenario) in scenario::embedded() {
        assert_eq!(scenario.name, name);
        assert!(scenario.analysis.len() > 80, "{name}: say why it exists");
    }
}

#[test]
fn only_a_name_is_required() {
    let points = scenario::parse("x.toml", "name = \"x\"").unwrap();
    let [scenario] = points.as_slice() else {
        panic!("{} points", points.len());
    };
    assert_eq!(scenario.measure.arms.len(), 7);
    assert_eq!(scenario.migration.streams, 1);
    let error = scenario::parse("x.toml", "").unwrap_err().to_string();
    assert!(error.contains("missing field `name`"), "{error}");
}

#[test]
fn resolved_scenarios_read_back_the_same() {
    for (_, scenario) in scenario::embedded() {
        let text = serde_json::to_string(&scenario).unwrap();
        let back: Scenario = serde_json::from_str(&text).unwrap();
        assert_eq!(back, scenario);
    }
}

#[test]
fn impossible_values_are_refused_by_field_value_and_range() {
    // (text, what the error must hold)
    let cases: &[(&str, &[&str])] = &[
        ("[guest]\nmemory = \"0MiB\"", &["guest.memory = 0B", "4KiB"]),
        (
            "[guest]\nmemory = \"6KiB\"",
            &["guest.memory = 6KiB", "whole number"],
        ),
        (
            "[guest]\nmemory = \"65TiB\"",
            &["guest.memory = 65TiB", "64TiB"],
        ),
        (
            "[guest]\nmemory = \"64MB\"",
            &["guest.memory = 64MB", "MiB"],
        ),
        ("[guest]\nmemory = 64", &["guest.memory = 64", "4KiB"]),
        ("[guest]\nvcpus = 0", &["guest.vcpus = 0", "1 to 64"]),
        ("[guest]\nvcpus = 65", &["guest.vcpus = 65", "1 to 64"]),
        ("[guest]\nvcpus = -1", &["guest.vcpus = -1", "1 to 64"]),
        ("[guest]\nvcpus = 1.5", &["guest.vcpus = 1.5", "1 to 64"]),
        ("[guest]\nseed = -1", &["guest.seed = -1"]),
        (
            "[guest]\ncontent = { zero = 1.5 }",
            &["guest.content.zero = 1.5", "0 to 1"],
        ),
        (
            "[guest]\ncontent = { zero = nan }",
            &["guest.content.zero = NaN", "0 to 1"],
        ),
        (
            "[guest]\ncontent = { zero = -0.1 }",
            &["guest.content.zero = -0.1", "0 to 1"],
        ),
        (
            "[guest]\ncontent = { zero = 0.7, compressible = 0.7 }",
            &["guest.content = {", "at most 1"],
        ),
        (
            "[guest]\ndevice_state = \"2GiB\"",
            &["guest.device_state = 2GiB", "1GiB"],
        ),
        (
            "[guest]\nhuge_pages = true",
            &["guest.huge_pages = true", "guest.pages = \"4k\" or \"thp\""],
        ),
        (
            "[guest]\npages = true",
            &["guest.pages = true", "\"4k\" or \"thp\""],
        ),
        (
            "[guest]\npages = \"2m\"",
            &["guest.pages = 2m", "\"4k\" or \"thp\""],
        ),
        (
            "[migration]\ndestination_memory = \"lazy\"",
            &["migration.destination_memory = lazy", "on-demand"],
        ),
        (
            "[guest]\ncolour = 1",
            &["guest.colour", "unknown field", "vcpus"],
        ),
        ("[gast]", &["gast", "unknown field", "guest"]),
        ("guest = 1", &["guest = 1"]),
        (
            "[workload]\nrate = \"10MiB\"",
            &["workload.rate = 10MiB", "/s"],
        ),
        (
            "[workload]\nrate = \"99TiB/s\"",
            &["workload.rate = 99TiB/s", "3906250MiB/s"],
        ),
        (
            "[workload]\nrate = \"1TiB/s\"\narrival = { model = \"on-off\", duty = 0.1, period = \"1s\" }",
            &["workload.rate = 1TiB/s", "390625MiB/s", "10 times"],
        ),
        (
            "[workload]\narrival = { model = \"on-off\", duty = 0, period = \"1s\" }",
            &["workload.arrival.duty = 0", "above 0"],
        ),
        (
            "[workload]\narrival = { model = \"on-off\", duty = inf, period = \"1s\" }",
            &["workload.arrival.duty = inf", "up to 1"],
        ),
        (
            "[workload]\narrival = { model = \"on-off\", duty = 0.5, period = \"0s\" }",
            &["workload.arrival.period = 0ns", "1us"],
        ),
        (
            "[workload]\narrival = { model = \"on-off\", duty = \"x\", period = \"1s\" }",
            &["workload.arrival.duty = x"],
        ),
        (
            "[workload]\narrival = { model = \"on-off\", duty = 0.5, period = \"1 fortnight\" }",
            &["workload.arrival.period = 1 fortnight", "300ms"],
        ),
        (
            "[workload]\narrival = { model = \"on-off\", duty = 0.5, perod = \"1s\" }",
            &["workload.arrival", "unknown field `perod`", "period"],
        ),
        (
            "[workload]\narrival = { model = \"off\" }",
            &["workload.arrival", "on-off"],
        ),
        ("[workload]\narrival = { }", &["workload.arrival", "model"]),
        (
            "[workload]\nplacement = { model = \"uniform\", working_set = 0 }",
            &["workload.placement.working_set = 0", "above 0"],
        ),
        (
            "[workload]\nplacement = { model = \"uniform\", working_set = 1.01 }",
            &["workload.placement.working_set = 1.01", "up to 1"],
        ),
        (
            "[workload]\nplacement = { model = \"zipf\", exponent = -1.0 }",
            &["workload.placement.exponent = -1", "above 0"],
        ),
        (
            "[workload]\ngranularity = \"8KiB\"",
            &["workload.granularity = 8KiB", "2MiB"],
        ),
        (
            "[guest]\nmemory = \"1MiB\"\n[workload]\ngranularity = \"2MiB\"",
            &["workload.granularity = 2MiB", "guest.memory"],
        ),
        (
            "[workload]\nwrite = \"byte\"",
            &["workload.write = byte", "page"],
        ),
        (
            "[migration]\nstreams = 0",
            &["migration.streams = 0", "1 to 64"],
        ),
        (
            "[migration]\nstreams = 65",
            &["migration.streams = 65", "1 to 64"],
        ),
        (
            "[migration]\nrecord = \"2KiB\"",
            &["migration.record = 2KiB", "4KiB to 16MiB"],
        ),
        (
            "[migration]\nrecord = \"6KiB\"",
            &["migration.record = 6KiB", "4KiB to 16MiB"],
        ),
        (
            "[migration]\nrecord = \"17MiB\"",
            &["migration.record = 17MiB", "4KiB to 16MiB"],
        ),
        (
            "[migration]\ntracker = \"kvn\"",
            &["migration.tracker = kvn", "userfaultfd"],
        ),
        (
            "[migration]\nlink = \"0Gbit/s\"",
            &["migration.link = 0Gbit/s", "unlimited"],
        ),
        (
            "[migration]\ncompression = \"gzip\"",
            &["migration.compression = gzip", "lz4", "1 to 22"],
        ),
        (
            "[migration]\ncompression = { zstd = 23 }",
            &["migration.compression", "23", "1 to 22"],
        ),
        (
            "[migration]\ncompression = \"lz4\"\n[measure]\narms = [\"plain\", \"qemu-plain\"]",
            &[
                "migration.compression = lz4",
                "qemu-* arms",
                "qemu.compression",
            ],
        ),
        (
            "[migration]\ndowntime_limit = \"0ms\"",
            &["migration.downtime_limit = 0ns"],
        ),
        (
            "[migration]\nmax_rounds = 0",
            &["migration.max_rounds = 0", "1 to"],
        ),
        (
            "[migration]\ntime_limit = \"0s\"",
            &["migration.time_limit = 0ns"],
        ),
        (
            "[migration]\non_stall = \"wait\"",
            &["migration.on_stall = wait", "switchover"],
        ),
        (
            "[migration]\nplatform = \"hyper-v\"",
            &["migration.platform = hyper-v", "cloud-hypervisor"],
        ),
        (
            "[migration]\nthrottle = { kind = \"stun\" }",
            &["migration.throttle", "on_stall = \"throttle\""],
        ),
        (
            "[migration]\non_stall = \"throttle\"\nthrottle = { kind = \"nap\" }",
            &["migration.throttle", "auto-converge", "stun"],
        ),
        (
            "[migration]\non_stall = \"throttle\"\nthrottle = { kind = \"stun\", slice = \"5ms\" }",
            &["migration.throttle", "slice"],
        ),
        (
            "[migration]\non_stall = \"throttle\"\nthrottle = { kind = \"auto-converge\", max = 1.0 }",
            &["migration.throttle.max = 1", "0.99"],
        ),
        (
            "[migration]\non_stall = \"throttle\"\nthrottle = { kind = \"auto-converge\", max = 0.1 }",
            &["migration.throttle.initial = 0.2", "up to max"],
        ),
        (
            "[migration]\ndowntime_growth = { kind = \"doubling\", rounds = 0 }",
            &["migration.downtime_growth = 0", "doubling"],
        ),
        (
            "[migration]\ndowntime_growth = { kind = \"steps\", steps = 0, every = \"1s\" }",
            &["migration.downtime_growth = { steps = 0", "1 to 1000"],
        ),
        (
            "[migration]\nplatform = \"nova\"\n[measure]\narms = [\"qemu-plain\"]",
            &["migration.downtime_growth", "qemu-* arms"],
        ),
        (
            "[migration]\nplatform = \"vsphere\"\n[measure]\narms = [\"qemu-plain\"]",
            &["migration.throttle", "auto-converge"],
        ),
        (
            "[migration]\nprogress_timeout = \"0s\"",
            &["migration.progress_timeout = 0ns"],
        ),
        (
            "[migration]\npolicy = \"maybe\"",
            &["migration.policy = maybe", "required"],
        ),
        (
            "[migration]\npeer_timeout = \"0s\"",
            &["migration.peer_timeout = 0ns", "1ms"],
        ),
        (
            "[migration]\nseal_workers = 0",
            &["migration.seal_workers = 0", "1 to 64"],
        ),
        (
            "[migration]\nseal_workers = \"all\"",
            &["migration.seal_workers = all", "auto"],
        ),
        (
            "[migration]\nrekey_bytes = \"4KiB\"",
            &["migration.rekey_bytes = 4KiB"],
        ),
        (
            "[migration]\nrekey_records = 0",
            &["migration.rekey_records = 0"],
        ),
        (
            "[qemu]\naccelerator = \"xen\"",
            &["qemu.accelerator = xen", "\"kvm\" or \"tcg\""],
        ),
        (
            "[qemu]\npriority = \"\"",
            &["qemu.priority = \"\"", "1 to 1000 printable"],
        ),
        (
            "[qemu]\npriority = \"NORMAL\\n\"",
            &["qemu.priority = \"NORMAL\\n\"", "printable ASCII"],
        ),
        (
            "[qemu]\npriority = \"NORMAL\u{e9}\"",
            &["qemu.priority", "printable ASCII"],
        ),
        (
            "[qemu]\ncompression = \"lz4\"",
            &["qemu.compression = lz4", "zstd"],
        ),
        (
            "[qemu]\ncompression = \"zlib\"",
            &["qemu.compression = zlib", "migration.streams of 2 or more"],
        ),
        (
            "[qemu]\nzero_copy_send = true",
            &[
                "qemu.zero_copy_send = true",
                "migration.streams of 2 or more",
            ],
        ),
        (
            "[migration]\nstreams = 2\n[qemu]\nzero_copy_send = true\ncompression = \"zstd\"",
            &["qemu.zero_copy_send = true", "qemu.compression = \"none\""],
        ),
        (
            "[qemu]\nauto_converge = 1",
            &["qemu.auto_converge = 1", "true or false"],
        ),
        (
            "[qemu]\nmachine = \"q35\"",
            &["qemu", "unknown field `machine`"],
        ),
        (
            "[migration]\nlink = \"10Gbit/s\"\n[measure]\narms = [\"copy\", \"qemu-tls\"]\nclock = \"virtual\"",
            &["measure.clock = virtual", "qemu-tls", "live"],
        ),
        (
            "[measure]\narms = []",
            &["measure.arms = []", "at least one"],
        ),
        (
            "[measure]\narms = [\"copy\", \"copy\"]",
            &["measure.arms = [\"copy\", \"copy\"]", "each once"],
        ),
        (
            "[measure]\narms = [\"rot13\"]",
            &["measure.arms", "rot13", "aws-lc-aesni"],
        ),
        (
            "[measure]\nrepetitions = 0",
            &["measure.repetitions = 0", "1 to"],
        ),
        (
            "[measure]\nclock = \"wall\"",
            &["measure.clock = wall", "virtual"],
        ),
        (
            "[measure]\nclock = \"virtual\"",
            &["migration.link = unlimited", "virtual"],
        ),
        ("[measure]\nwindow = \"2min\"", &["measure.window = 2min"]),
        ("[measure]\nrepetitions = []", &["measure.repetitions = []"]),
        ("point = { a = \"b\" }", &["point"]),
        ("name = \"y\"", &["line 2", "duplicate"]),
        ("= 3", &["line 2"]),
    ];
    for (text, wanted) in cases {
        let error = refusal(text);
        for part in *wanted {
            assert!(
                error.contains(part),
                "{text}\n  gave  {error}\n  without  {part}"
            );
        }
    }
    for name in ["", "a\u{7}b", &"x".repeat(201)] {
        let text = format!("name = {}", serde_json::to_string(name).unwrap());
        let error = scenario::parse("x.toml", &text).unwrap_err().to_string();
        assert!(error.contains("name = \""), "{error}");
    }
}

#[test]
fn unknown_names_and_files_are_invalid_input() {
    let error = scenario::load(Some("no-such-thing")).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    assert!(error.to_string().contains("default"), "{error}");
    let error = scenario::load(Some("no/such.toml")).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    assert!(error.to_string().contains("no/such.toml"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = scenario::load(folder.path().to_str()).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    let error = scenario::load(binary.to_str()).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn folder_names_are_safe() {
    let cases = [
        ("redis-like-bursts", "redis-like-bursts"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "scenario"),
        ("", "scenario"),
        ("-rf", "rf"),
        ("a b\nc\0d", "a-b-c-d"),
        ("\u{e9}t\u{e9}", "t"),
        ("C:\\x", "C--x"),
    ];
    for (name, folder) in cases {
        assert_eq!(scenario::folder_name(name), folder);
    }
    assert_eq!(scenario::folder_name(&"x".repeat(500)).len(), 64);
}

#[test]
fn values_of_qemus_are_settable_in_files_and_matrices() {
    let text = "name = \"q\"\n[migration]\nstreams = 2\n[qemu]\naccelerator = \"tcg\"\n\
                priority = \"NORMAL\"\ncompression = [\"zlib\", \"zstd\"]\nauto_converge = true\n";
    let points = migtax::scenario::parse("q", text).unwrap();
    let compressions: Vec<&str> = points.iter().map(|p| p.qemu.compression.name()).collect();
    assert_eq!(compressions, ["zlib", "zstd"]);
    for point in &points {
        assert_eq!(point.qemu.accelerator, migtax::scenario::Accelerator::Tcg);
        assert_eq!(point.qemu.priority, "NORMAL");
        assert!(point.qemu.auto_converge && !point.qemu.zero_copy_send);
        let json = serde_json::to_string(point).unwrap();
        let again: migtax::scenario::Scenario = serde_json::from_str(&json).unwrap();
        assert_eq!(&again, point);
    }
    let longest = format!(
        "name = \"q\"\n[qemu]\npriority = \"{}\"\n",
        "N".repeat(1000)
    );
    assert!(migtax::scenario::parse("q", &longest).is_ok());
    assert!(migtax::scenario::parse("q", &longest.replace("NN\"", "NNN\"")).is_err());
}

/// The migration of a scenario with these values.
fn migration(values: &str) -> scenario::MigrationSpec {
    let text = format!("name = \"x\"\n[guest]\nmemory = \"4GiB\"\n[migration]\n{values}");
    let mut points = scenario::parse("x.toml", &text).unwrap();
    points.remove(0).migration
}

#[test]
fn a_platforms_values_stand_where_the_scenario_says_nothing() {
    let nova = migration("platform = \"nova\"");
    let shown = (nova.downtime_limit.to_string(), nova.time_limit.to_string());
    assert_eq!(nova.time_limit.0.as_secs(), 3200, "{shown:?}");
    assert_eq!(nova.downtime_limit.0.as_millis(), 500);
    let steps = DowntimeGrowth::Steps {
        steps: 10,
        every: Span(Duration::from_secs(300)),
    };
    assert_eq!(nova.downtime_growth, Some(steps));
    assert_eq!(nova.on_stall, OnStall::Abort);
    let set = migration(
        "platform = \"nova\"\ntime_limit = \"7s\"\ndowntime_limit = \"20ms\"\nmax_rounds = 5",
    );
    assert_eq!(set.time_limit.0.as_secs(), 7);
    assert_eq!((set.max_rounds, set.downtime_limit.0.as_millis()), (5, 20));
    assert_eq!(set.downtime_growth, None);
    let qemu = migration("platform = \"qemu\"");
    assert_eq!(qemu.link, Bandwidth::BitsPerSecond(1 << 30));
    assert_eq!(
        qemu.time_limit,
        scenario::MigrationSpec::default().time_limit
    );
    let vsphere = migration("platform = \"vsphere\"");
    assert_eq!(vsphere.on_stall, OnStall::Throttle);
    assert_eq!(vsphere.throttle, Some(Throttle::stun()));
    let patient = migration("platform = \"vsphere\"\non_stall = \"switchover\"");
    assert_eq!(patient.throttle, None);
    let kubevirt = migration("platform = \"kubevirt\"");
    // 4 GiB are 5 started GB.
    assert_eq!(kubevirt.time_limit.0.as_secs(), 750);
    assert_eq!(kubevirt.progress_timeout.map(|t| t.0.as_secs()), Some(150));
}

#[test]
fn a_flag_stands_before_the_platforms_value_and_memory_counts_as_it_is_set() {
    let file = std::env::temp_dir().join(format!("migtax-platform-{}.toml", std::process::id()));
    std::fs::write(
        &file,
        "name = \"x\"\n[migration]\nplatform = \"kubevirt\"\n",
    )
    .unwrap();
    let overrides = scenario::Overrides {
        migration: scenario::MigrationOverrides {
            stream: scenario::StreamOverrides {
                memory: Some(Size(2 << 30)),
                ..Default::default()
            },
            downtime_limit: Some(vec![Span(Duration::from_millis(7))]),
            ..Default::default()
        },
        ..Default::default()
    };
    let points = scenario::load_points(file.to_str(), &overrides);
    std::fs::remove_file(&file).unwrap();
    let migration = &points.unwrap()[0].migration;
    assert_eq!(migration.time_limit.0.as_secs(), 450);
    assert_eq!(migration.downtime_limit.0.as_millis(), 7);
}

#[test]
fn a_throttle_without_a_rule_is_qemus() {
    let spec = migration("on_stall = \"throttle\"");
    assert_eq!(spec.throttle, Some(Throttle::auto_converge()));
}

//! Values that can't be: refused in one line by field, value and range.

use migtax::error::ExitCode;
use migtax::scenario;

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

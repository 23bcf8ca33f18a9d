//! The first inputs of each corpus, made from the formats' own writers and the committed data sets.
//!
//! They are written once, and again when a format changes:
//! `MIGTAX_UPDATE_SEEDS=1 cargo test --test properties seeds`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use migtax::arm::Arm;
use migtax::fleet;
use migtax::frontier::{FrontierFile, Predicted, Probe};
use migtax::gate::simulate::{self, Simulation};
use migtax::guest::vcpu::StreamPosition;
use migtax::host::guest_state::pack_device_state;
use migtax::host::guest_view::OpenWindows;
use migtax::host::{Capabilities, Command, Event, HostSpec, PROTOCOL, capabilities};
use migtax::machine::Limits;
use migtax::memory::PageRun;
use migtax::results::{Outcome, OutcomeStatus};
use migtax::scenario::{self, Scenario};
use migtax::units::{Bandwidth, PAGE_SIZE, Rate, Span};
use migtax::wire::{Head, Preamble, Prefix, RecordKind, Totals};
use migtax::workload::trace::TraceWriter;

use crate::stream;

/// Makes the seeds of a target.
type Maker = fn() -> Vec<Vec<u8>>;

/// The targets that have seeds, and what makes them.
const MAKERS: [(&str, Maker); 13] = [
    ("record", record),
    ("stream", streams),
    ("spec", spec),
    ("trace", traces),
    ("lackey", lackey),
    ("scenario", scenarios),
    ("fleet", fleets),
    ("results", results),
    ("frontier", frontiers),
    ("hostile", hostile),
    ("gate_policy", gate_policy),
    ("exact", exact),
    ("criterion", criterion),
];

/// The seeds of a target as the formats are now.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let (_, make) = MAKERS
        .iter()
        .find(|(name, _)| *name == target)
        .unwrap_or_else(|| panic!("{target} has no seeds"));
    make()
}

/// Set to anything: the committed seeds are replaced, after a format was changed on purpose.
const UPDATE: &str = "MIGTAX_UPDATE_SEEDS";

#[test]
fn the_committed_seeds_follow_the_formats() {
    for (target, make) in MAKERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        for (index, input) in make().iter().enumerate() {
            let path = folder.join(format!("seed-{index:02}"));
            if std::env::var_os(UPDATE).is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, input).unwrap();
            }
            let committed = fs::read(&path).unwrap_or_default();
            assert!(
                committed == *input,
                "{}: {UPDATE}=1 replaces it",
                path.display()
            );
        }
    }
}

fn record() -> Vec<Vec<u8>> {
    let bounds = [1023u64.to_le_bytes().as_slice(), &63u16.to_le_bytes()].concat();
    let head = |kind, payload, data: &[PageRun], zero: &[PageRun]| {
        let mut bytes = Vec::new();
        let head = Head {
            kind,
            is_packed: false,
            round: 3,
            sequence: 9,
            data_runs: data.len() as u32,
            zero_runs: zero.len() as u32,
            payload,
        };
        head.encode(data, zero, &mut bytes);
        [&[2], bounds.as_slice(), &bytes].concat()
    };
    let run = |first, pages| PageRun { first, pages };
    let data = [run(0, 1), run(5, 3), run(1000, 24)];
    let prefix = Prefix {
        body: 32 + 16 + PAGE_SIZE as u32 + 16,
        head: 48,
    };
    let totals = Totals {
        records: 3,
        pages: 40,
        zero_pages: 7,
    };
    let preamble = Preamble {
        migration_id: 0x5eed,
        stream: 1,
        streams: 4,
    };
    let position = StreamPosition { at_ns: 5, after: 1 };
    vec![
        [&[0], preamble.encode().as_slice()].concat(),
        [&[1], bounds.as_slice(), &prefix.encode()].concat(),
        head(
            RecordKind::Pages,
            28 * PAGE_SIZE as u32,
            &data,
            &[run(9, 900)],
        ),
        head(RecordKind::Pages, 0, &[], &[run(0, 1024)]),
        head(RecordKind::Final, 24, &[], &[]),
        [&[3], totals.encode().as_slice()].concat(),
        [
            &[4, 2],
            pack_device_state(&[position; 2], b"blob").as_slice(),
        ]
        .concat(),
    ]
}

fn streams() -> Vec<Vec<u8>> {
    let [clear, sealed] = stream::samples();
    vec![
        [&[0], clear.as_slice()].concat(),
        [&[2], clear.as_slice()].concat(),
        [&[1], sealed.as_slice()].concat(),
        [&[2], stream::refused_switchover().as_slice()].concat(),
    ]
}

fn spec() -> Vec<Vec<u8>> {
    let of = |arm: Arm, sealed, scenario: Scenario| {
        let spec = HostSpec {
            protocol: PROTOCOL,
            arm,
            sealed,
            scenario,
            migration_id: "00112233445566778899aabbccddeeff".to_owned(),
            stream_seed: 1,
            start_offset_ns: 1_500_000,
            listen: "127.0.0.1:0".to_owned(),
            pin: vec![0, 1],
            thread_clock_read_ns: 400.0,
            tunnel: None,
            fleet: None,
        };
        let mut line = serde_json::to_vec(&spec).unwrap();
        line.push(b'\n');
        if sealed {
            line.extend_from_slice(&b"5e".repeat(32));
            line.push(b' ');
            line.extend_from_slice(&b"ed".repeat(8));
            line.push(b'\n');
        }
        line
    };
    let short = |name| {
        let mut scenario = scenario::load(Some(name)).unwrap();
        scenario.analysis = String::new();
        scenario
    };
    // Nothing of the machine on which the seeds are written.
    let told = Capabilities {
        backend_version: "migtax 0.1.0".to_owned(),
        boot_mark: Some("0123456789abcdef".repeat(2)),
        commit: Some("0123456789".repeat(4)),
        limits: Limits {
            available_memory_bytes: Some(1 << 34),
            locked_memory_bytes: Some(8 << 20),
            send_buffer_bytes: Some(4 << 20),
            receive_buffer_bytes: Some(6 << 20),
        },
        cpu_features: vec!["aes".to_owned()],
        thread_clock_read_ns: 400.0,
        versions: Default::default(),
        ..capabilities(Arm::PLAIN, false)
    };
    let messages = [
        serde_json::to_vec(&Command::Connect {
            address: "127.0.0.1:4321".to_owned(),
            tunnel: None,
        }),
        serde_json::to_vec(&Command::Fenced),
        serde_json::to_vec(&Command::Resume {
            stream_time_ns: 77,
            windows: OpenWindows {
                start_until_ns: 90,
                pause_until_ns: 0,
            },
        }),
        serde_json::to_vec(&Event::TookOver),
        serde_json::to_vec(&Event::Refused {
            reason: "no memory".to_owned(),
        }),
        serde_json::to_vec(&Event::Ready {
            capabilities: Box::new(told),
            fill_s: 0.25,
            tracker: Some("bitmap".to_owned()),
            address: None,
            tunnel: None,
        }),
    ];
    let mut inputs = vec![
        of(Arm::PLAIN, false, short("default")),
        of(Arm::AWS_LC, true, short("bursty")),
        of(Arm::RUSTCRYPTO, false, short("gc-like")),
        of(Arm::AWS_LC_SOFT, true, short("oltp-like")),
    ];
    inputs.extend(messages.map(Result::unwrap));
    inputs
}

fn traces() -> Vec<Vec<u8>> {
    let trace = |quantum_ns, writes: &[(u64, u64)], end_ns, text: &str| {
        let mut writer = TraceWriter::new(quantum_ns);
        for (at_ns, page) in writes {
            writer.push(*at_ns, *page);
        }
        writer.finish(end_ns, text).unwrap()
    };
    let sweep: Vec<_> = (0..200).map(|n| (n / 40 * 1000, n % 70)).collect();
    vec![
        trace(1000, &[(0, 3), (10, 4), (2500, 3)], 5000, "three writes"),
        trace(1, &[(0, 0)], 1, ""),
        trace(500, &sweep, 9000, "a sweep"),
        trace(
            1_000_000,
            &[(86_399_000_000_000, u64::MAX >> 12)],
            86_400_000_000_000,
            "a day",
        ),
    ]
}

fn lackey() -> Vec<Vec<u8>> {
    vec![
        b"==7== Lackey\nI  04001000,3\n S 1ffeffe7e0,8\nI  04001003,5\n L 04222ba8,8\n M 04222ba8,4\n\
          I  04001008,1\n S 04000ffe,16\n==7== \n"
            .to_vec(),
        b"I  0,1\n S 0,4096\nI  1,1\n".to_vec(),
        b" S 10,8".to_vec(),
    ]
}

/// Prose teaches a fuzzer nothing.
fn terse(text: &str) -> Vec<u8> {
    let mut table: toml::Table = text.parse().unwrap();
    table.remove("analysis");
    toml::to_string(&table).unwrap().into_bytes()
}

fn scenarios() -> Vec<Vec<u8>> {
    scenario::EMBEDDED
        .iter()
        .map(|(_, text)| terse(text))
        .collect()
}

fn fleets() -> Vec<Vec<u8>> {
    [
        fleet::load::DEFAULT,
        include_str!("../../datasets/fleets/busy-host.toml"),
        // Read, and not changed by a policy.
        "name = \"inline\"\nguests = [{ name = \"web\", count = 2, scenario = \"idle\", encrypted = true }]\n",
    ]
    .map(terse)
    .to_vec()
}

fn results() -> Vec<Vec<u8>> {
    let run = |blocks, arms: &[Arm]| {
        let mut run = simulate::results(&Simulation {
            blocks,
            arms: arms.to_vec(),
            ..Simulation::default()
        });
        run.scenario.analysis = String::new();
        run.host.cpu_features.truncate(2);
        run
    };
    let mut failed = run(1, &[Arm::PLAIN, Arm::RUSTCRYPTO_SOFT]);
    for (migration, status) in failed
        .migrations
        .iter_mut()
        .zip([OutcomeStatus::Failed, OutcomeStatus::NotConverged])
    {
        migration.outcome.status = status;
        migration.outcome.reason = Some("round limit".to_owned());
    }
    failed.comparisons.clear();
    let mut virtual_clock = run(1, &[Arm::COPY, Arm::AWS_LC]);
    virtual_clock.scenario.measure.clock = scenario::ClockKind::Virtual;
    virtual_clock.scenario.migration.link = Bandwidth::BitsPerSecond(10_000_000_000);
    virtual_clock.scenario.measure.window = Span(Duration::ZERO);
    [
        run(1, &[Arm::PLAIN, Arm::AWS_LC]),
        run(2, &[Arm::PLAIN, Arm::COPY]),
        run(1, &[Arm::PLAIN]),
        failed,
        virtual_clock,
        run(1, &[Arm::QEMU_PLAIN, Arm::QEMU_TLS]),
    ]
    .iter()
    .map(|run| serde_json::to_vec(run).unwrap())
    .collect()
}

/// A search of two links under each clock, whose probes converge below a rate.
fn frontiers() -> Vec<Vec<u8>> {
    let run = simulate::results(&Simulation {
        blocks: 1,
        arms: vec![Arm::PLAIN, Arm::AWS_LC],
        ..Simulation::default()
    });
    let of = |clock, probes: u64| {
        let scenarios = [1_000_000_000, 10_000_000_000].map(|bits| {
            let mut scenario = run.scenario.clone();
            scenario.analysis = String::new();
            scenario.migration.link = Bandwidth::BitsPerSecond(bits);
            scenario.measure.clock = clock;
            scenario.set_rate(Rate(64 << 20));
            scenario
        });
        let mut found = FrontierFile {
            schema_version: migtax::frontier::file::SCHEMA_VERSION,
            migtax_version: "0.1.0".to_owned(),
            started_at: "2026-01-02T03:04:05Z".to_owned(),
            interrupted: false,
            command: vec!["migtax".to_owned(), "frontier".to_owned()],
            host: run.host.clone(),
            scenarios: scenarios.to_vec(),
            arms: run.arms.clone(),
            precision: 0.05,
            frontier: Vec::new(),
            probes: Vec::new(),
            predicted: vec![Predicted {
                scenario: 1,
                arm: Arm::AWS_LC,
                rate_bytes_per_s: 2e8,
                low: Some(1.5e8),
                high: None,
                extrapolated: true,
            }],
            warnings: Vec::new(),
        };
        found.host.cpu_features.truncate(2);
        for turn in 0..probes {
            for (scenario, arm) in [(0, Arm::PLAIN), (1, Arm::PLAIN), (1, Arm::AWS_LC)] {
                let search = found.search(scenario, arm);
                let Some(writes) = found.next(scenario, arm, &search) else {
                    continue;
                };
                let converged = writes < 20_000 + 10_000 * scenario as u64;
                let asked = writes * PAGE_SIZE as u64;
                found.probes.push(Probe {
                    scenario,
                    arm,
                    block: turn as u32,
                    stream_seed: turn,
                    rate_asked_bytes_per_s: asked,
                    schedule_kept: Some(1.0),
                    rate_achieved_bytes_per_s: Some(asked as f64),
                    converged: Some(converged),
                    outcome: Outcome {
                        status: match converged {
                            true => OutcomeStatus::Completed,
                            false => OutcomeStatus::NotConverged,
                        },
                        reason: (!converged).then(|| "round limit".to_owned()),
                    },
                    rounds: 3,
                    total_time_s: 0.5,
                    downtime_s: converged.then_some(0.1),
                });
            }
        }
        found.derive();
        found
    };
    [
        of(scenario::ClockKind::Live, 4),
        of(scenario::ClockKind::Live, 0),
        of(scenario::ClockKind::Virtual, 30),
    ]
    .iter()
    .map(|found| serde_json::to_vec(found).unwrap())
    .collect()
}

/// Each run as it is, then with edits: a figure, a name, a field everywhere, times scaled, lists
/// longer and shorter, other outcomes, more blocks.
fn hostile() -> Vec<Vec<u8>> {
    let mut inputs: Vec<Vec<u8>> = (0..4).map(|which| vec![which]).collect();
    for what in 0..9 {
        let edit = |place: u8, with: u8| [what, 0, place, with];
        inputs.push([&[0xf0 | (what % 4)][..], &edit(7, 3)].concat());
        inputs.push([&[what % 4][..], &edit(0, 2), &edit(40, 6)].concat());
    }
    inputs
}

fn gate_policy() -> Vec<Vec<u8>> {
    let text = migtax::gate::config::DEFAULT;
    let terse: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim_end())
        .filter(|line| !line.is_empty())
        .flat_map(|line| [line, "\n"])
        .collect();
    let one_metric = terse
        .split_inclusive("\n[[metric]]")
        .take(2)
        .collect::<String>();
    let one_metric = one_metric.trim_end_matches("[[metric]]").to_owned();
    vec![
        text.as_bytes().to_vec(),
        terse.into_bytes(),
        one_metric.into_bytes(),
    ]
}

fn exact() -> Vec<Vec<u8>> {
    let whole: serde_json::Value =
        serde_json::from_str(include_str!("../../datasets/exact.json")).unwrap();
    let mut one_arm = whole.clone();
    for entry in one_arm["scenarios"].as_object_mut().unwrap().values_mut() {
        let arms = entry["arms"].as_object_mut().unwrap();
        arms.retain(|name, _| name == "plain");
    }
    vec![
        serde_json::to_vec(&whole).unwrap(),
        serde_json::to_vec(&one_arm).unwrap(),
        br#"{"format_version":1,"scenarios":{}}"#.to_vec(),
    ]
}

fn criterion() -> Vec<Vec<u8>> {
    let iters: Vec<f64> = (1..=12).map(|n| f64::from(n) * 10.0).collect();
    let times: Vec<f64> = iters.iter().map(|n| n * 250.5).collect();
    let sample = serde_json::json!({"sampling_mode": "Linear", "iters": iters, "times": times});
    let benchmark = serde_json::json!({
        "group_id": "aead", "function_id": "seal", "value_str": null, "throughput": null,
        "full_id": "aead/seal", "directory_name": "aead/seal", "title": "aead/seal",
    });
    vec![
        sample.to_string().into_bytes(),
        benchmark.to_string().into_bytes(),
    ]
}

//! Traces: the format, what damage does, replay, and reducing lackey's output.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use migtax::cli::workload::trace_table;
use migtax::error::ExitCode;
use migtax::scenario::{self, Scenario, StreamOverrides};
use migtax::workload::trace::{Replay, Trace, TraceError, TraceWriter, reduce_lackey};
use migtax::workload::{MergedStream, PageWrite, WriteStream};

/// (time, page) in quanta of 1 ms over 10 ms; pages as recorded.
const WRITES: &[(u64, u64)] = &[
    (0, 1000),
    (0, 7000),
    (500_000, 1001),
    (500_000, 1002),
    (999_999, 1000),
    (2_000_000, 5),
    (7_100_000, 7000),
    (7_200_000, 4_000_000_000),
];

fn sample() -> Vec<u8> {
    let mut writer = TraceWriter::new(1_000_000);
    for (at, page) in WRITES {
        writer.push(*at, *page);
    }
    writer.finish(10_000_000, "a sample").unwrap()
}

fn parse(bytes: &[u8]) -> Result<Trace, TraceError> {
    Trace::parse(Cow::Owned(bytes.to_vec()))
}

fn replay(trace: Trace) -> Vec<(u64, u64)> {
    Replay::new(Arc::new(trace), false).collect()
}

/// Makes the checksum right again after a change.
fn seal(bytes: &mut Vec<u8>) {
    let content = bytes.len() - 4;
    let sum = crc32fast::hash(&bytes[..content]);
    bytes.truncate(content);
    bytes.extend(sum.to_le_bytes());
}

#[test]
fn a_trace_reads_back_as_it_was_written() {
    let trace = parse(&sample()).unwrap();
    assert_eq!(trace.text, "a sample");
    assert_eq!((trace.pages, trace.writes, trace.quanta), (6, 7, 10));
    assert_eq!(trace.duration_ns(), 10_000_000);
    assert!((trace.rate() - 7.0 * 4096.0 / 0.010).abs() < 1e-6);
    // Pages are dense: 5, 1000, 1001, 1002, 7000 and 4e9 are 0 to 5. Within a quantum each page
    // stands once, and writes are spread evenly.
    assert_eq!(
        replay(trace),
        [
            (0, 1),
            (250_000, 2),
            (500_000, 3),
            (750_000, 4),
            (2_000_000, 0),
            (7_000_000, 4),
            (7_500_000, 5),
        ]
    );
}

#[test]
fn long_runs_and_gaps_read_back() {
    let mut writer = TraceWriter::new(1000);
    let mut expected = Vec::new();
    for q in [0u64, 1, 300, 40_000] {
        for page in (0..200_000).filter(|p| p % 1000 < q % 7 + 2 || p % 50_000 < 20_000) {
            writer.push(q * 1000, page);
            expected.push(page);
        }
    }
    let trace = parse(&writer.finish(0, "").unwrap()).unwrap();
    assert_eq!(trace.quanta, 40_001);
    let known: BTreeSet<u64> = expected.iter().copied().collect();
    let dense: Vec<u64> = known.into_iter().collect();
    let pages: Vec<u64> = replay(trace)
        .into_iter()
        .map(|(_, p)| dense[p as usize])
        .collect();
    assert_eq!(pages, expected);
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let good = sample();
    for length in 0..good.len() {
        assert!(parse(&good[..length]).is_err(), "truncated to {length}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(matches!(parse(&longer), Err(TraceError::Length { .. })));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let error = parse(&bad).expect_err(&format!("bit {bit}"));
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn damage_under_a_right_checksum_never_panics_and_never_shortens() {
    let good = sample();
    let mut accepted = 0;
    for at in 0..good.len() - 4 {
        for value in 0..=255 {
            let mut bad = good.clone();
            bad[at] = value;
            seal(&mut bad);
            if let Ok(trace) = parse(&bad) {
                accepted += 1;
                let (pages, writes, end) = (trace.pages, trace.writes, trace.duration_ns());
                let all = replay(trace);
                assert_eq!(all.len() as u64, writes, "byte {at} = {value}");
                assert!(all.iter().all(|w| w.0 < end && w.1 < pages));
                assert!(all.is_sorted_by_key(|w| w.0));
            }
        }
    }
    // Text, quantum, length and some pages may change; the writes are those of the header.
    assert!(accepted > 1000);
}

#[test]
fn errors_say_what_is_possible() {
    type Damage = fn(&mut Vec<u8>);
    let cases: &[(Damage, &str)] = &[
        (|b| b[0] = b'x', "not a trace"),
        (|b| b[8] = 2, "version 2: this build reads version 1"),
        (
            |b| b[22] = 4,
            "a write to page 4: the trace has pages 0 to 3",
        ),
        (|b| b[22] = 0, "pages = 0: 1 to"),
        (|b| b[30] = 9, "more or fewer writes"),
        (|b| b[14] = 5, "a write after its end"),
        (|b| b[10..14].fill(0), "quantum = 0"),
    ];
    for (damage, wanted) in cases {
        let mut bytes = sample();
        damage(&mut bytes);
        seal(&mut bytes);
        let error = parse(&bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}, wanted {wanted}");
    }
    let mut bytes = sample();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(parse(&bytes).unwrap_err().to_string().contains("checksum"));
    // The same through a scenario: one line that names the file.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.trace"), &bytes).unwrap();
    std::fs::write(
        folder.path().join("s.toml"),
        "name = \"s\"\n[workload]\nplacement = { model = \"trace\", file = \"bad.trace\" }",
    )
    .unwrap();
    let path = folder.path().join("s.toml");
    let error = scenario::load(path.to_str()).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("bad.trace") && text.contains("checksum") && !text.contains('\n'));
    let error = Trace::open("no-such-trace").unwrap_err().to_string();
    assert!(error.contains("redis"), "{error}");
}

/// A scenario that replays the sample, in a folder of its own.
fn replaying(folder: &tempfile::TempDir, guest: &str, workload: &str) -> String {
    std::fs::write(folder.path().join("sample.trace"), sample()).unwrap();
    let path = folder.path().join("s.toml");
    let text = format!("name = \"s\"\n[guest]\n{guest}\n[workload]\n{workload}");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn all(scenario: &Scenario, until_ns: u64) -> Vec<(u64, u64)> {
    let mut stream = MergedStream::new(&scenario.stream_spec()).unwrap();
    std::iter::from_fn(|| stream.next_until(until_ns))
        .map(|(_, w)| (w.at_ns, w.page))
        .collect()
}

const BOTH: &str = "arrival = { model = \"trace\", file = \"sample.trace\" }\nplacement = { model = \"trace\", file = \"sample.trace\" }";

#[test]
fn a_trace_is_replayed_in_time_looped_and_over_vcpus() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = replay(parse(&sample()).unwrap());
    for vcpus in 1..=4 {
        let guest = format!("memory = \"64KiB\"\nvcpus = {vcpus}");
        let scenario = scenario::load(Some(&replaying(&folder, &guest, BOTH))).unwrap();
        // 7 writes of a page in 10 ms.
        assert_eq!(scenario.workload.rate.0, 2_867_200);
        let twice = all(&scenario, 20_000_000);
        let again = recorded.iter().map(|(at, page)| (at + 10_000_000, *page));
        let expected: Vec<(u64, u64)> = recorded.iter().copied().chain(again).collect();
        assert_eq!(twice, expected);
    }
}

#[test]
fn a_trace_runs_at_the_speed_or_the_rate_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = replay(parse(&sample()).unwrap());
    let doubled: Vec<(u64, u64)> = recorded.iter().map(|(at, page)| (at / 2, *page)).collect();
    let once = BOTH.replacen("file", "repeat = false, file", 1);
    let by_speed = once.replacen("repeat", "speed = 2.0, repeat", 1);
    let path = replaying(&folder, "memory = \"64KiB\"", &by_speed);
    let scenario = scenario::load(Some(&path)).unwrap();
    assert_eq!(all(&scenario, u64::MAX), doubled);
    assert_eq!(scenario.workload.rate.0, 5_734_400);
    let by_rate = format!("rate = \"5734400B/s\"\n{once}");
    let path = replaying(&folder, "memory = \"64KiB\"", &by_rate);
    let scenario = scenario::load(Some(&path)).unwrap();
    assert_eq!(all(&scenario, u64::MAX), doubled);
    // A speed and a rate that contradict it.
    let path = replaying(
        &folder,
        "memory = \"64KiB\"",
        &format!("rate = \"1MiB/s\"\n{by_speed}"),
    );
    let error = scenario::load(Some(&path)).unwrap_err().to_string();
    assert!(
        error.contains("workload.rate = 1MiB/s") && error.contains("5734400B/s"),
        "{error}"
    );
    // An override of the rate decides the speed.
    let path = replaying(&folder, "memory = \"64KiB\"", &by_speed);
    let overrides = StreamOverrides {
        rate: Some("2867200B/s".parse().unwrap()),
        ..StreamOverrides::default()
    };
    let scenario = scenario::load_points(Some(&path), &overrides.into())
        .unwrap()
        .remove(0);
    assert_eq!(all(&scenario, u64::MAX), recorded);
    let text = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
    // Once: then the guest is idle.
    let mut stream = WriteStream::new(&scenario.stream_spec(), 0).unwrap();
    let mut out: Vec<PageWrite> = Vec::new();
    stream.fill(&mut out, 100);
    assert_eq!(out.len(), 7);
    stream.skip_to(u64::MAX);
    stream.fill(&mut out, 1);
    assert_eq!(out.len(), 7);
}

#[test]
fn a_trace_must_fit_the_guest_or_be_scaled() {
    let folder = tempfile::tempdir().unwrap();
    let path = replaying(&folder, "memory = \"16KiB\"", BOTH);
    let error = scenario::load(Some(&path)).unwrap_err().to_string();
    for part in ["page 5", "page 3", "24KiB", "scale_pages"] {
        assert!(error.contains(part), "{error}");
    }
    let scaled = BOTH.replace(
        "\"trace\", file = \"sample.trace\" }\nplacement",
        "\"poisson\" }\nplacement",
    );
    let scaled = scaled.replace("sample.trace\" }", "sample.trace\", scale_pages = true }");
    for (memory, last) in [("12KiB", 2), ("24KiB", 5), ("1200KiB", 250)] {
        let guest = format!("memory = \"{memory}\"");
        let scenario = scenario::load(Some(&replaying(&folder, &guest, &scaled))).unwrap();
        let pages: BTreeSet<u64> = all(&scenario, 10_000_000).iter().map(|w| w.1).collect();
        assert_eq!(pages.last(), Some(&last), "{memory}");
    }
}

#[test]
fn the_times_of_a_trace_go_with_any_placement() {
    let folder = tempfile::tempdir().unwrap();
    let arrival_only = BOTH.lines().next().unwrap();
    let path = replaying(&folder, "memory = \"16KiB\"", arrival_only);
    let times: Vec<u64> = all(&scenario::load(Some(&path)).unwrap(), 10_000_000)
        .iter()
        .map(|w| w.0)
        .collect();
    let recorded: Vec<u64> = replay(parse(&sample()).unwrap())
        .iter()
        .map(|w| w.0)
        .collect();
    assert_eq!(times, recorded);
}

const LACKEY: &str = "==1== Lackey\n\
I  04001000,3\n S 1ffeffe7e0,8\n L 04222caf,8\nI  04001003,5\n M 0421c7cc,4\n\
I  04001008,3\n S 00004ffc,8\nI  04001010,3\n S 00009000,1\n S 1ffeffe7e0,8\n==1== end\n";

#[test]
fn lackey_output_is_reduced_to_stores_and_modifies() {
    // An instruction a millisecond.
    let reduced = reduce_lackey(LACKEY.as_bytes(), 1000, 1_000_000, 0, u64::MAX).unwrap();
    assert_eq!(
        (reduced.instructions, reduced.stores, reduced.end_ns),
        (4, 5, 4_000_000)
    );
    let trace = parse(&reduced.writer.finish(reduced.end_ns, "").unwrap()).unwrap();
    // Pages 4, 5, 9, 421c and 1ffeffe are 0 to 4; the store at 4ffc crosses into page 5.
    let pages: Vec<u64> = replay(trace).iter().map(|w| w.1).collect();
    assert_eq!(pages, [4, 3, 0, 1, 2, 4]);
    let part = reduce_lackey(LACKEY.as_bytes(), 1000, 1_000_000, 2, 1).unwrap();
    assert_eq!((part.instructions, part.stores), (1, 1));
}

#[test]
fn other_input_is_no_lackey_output() {
    for text in [
        "hello\n",
        " S zz,4\n",
        " S 10\n",
        " X 10,4\n",
        " M 1ffffffffffffffff,4\n",
    ] {
        let error = reduce_lackey(text.as_bytes(), 1, 1000, 0, 1).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::InvalidInput, "{text}");
    }
    let endless = vec![b'x'; 3 << 20];
    assert!(reduce_lackey(endless.as_slice(), 1, 1000, 0, 1).is_err());
    let nothing = reduce_lackey(&b""[..], 1, 1000, 0, 1).unwrap();
    assert!(
        nothing
            .writer
            .finish(0, "")
            .unwrap_err()
            .to_string()
            .contains("writes")
    );
}

#[test]
fn every_committed_trace_is_embedded_small_and_described() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/traces");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() <= 1 << 20, "{}", path.display());
        let trace = parse(&bytes).unwrap();
        assert!(trace.text.contains("instructions/s") && trace.text.contains("valgrind"));
        files.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    let embedded: BTreeSet<String> = Trace::embedded().map(str::to_owned).collect();
    assert_eq!(files, embedded);
}

/// `migtax workload --trace-table` makes the table in datasets/README.md.
#[test]
fn the_table_of_traces_is_fresh() {
    let readme = include_str!("../../datasets/README.md");
    let table = trace_table().unwrap();
    assert!(
        readme.contains(&table),
        "datasets/README.md does not hold what `migtax workload --trace-table` prints:\n{table}"
    );
}

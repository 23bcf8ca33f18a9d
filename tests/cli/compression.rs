//! Migrations whose page content is compressed.

use migtax::results::{Migration, OutcomeStatus};

use crate::command::{migtax, run};

/// Every arm that runs here, several streams, records of a size that pages don't fill evenly.
const MIXED: &str = r#"
name = "mixed"
[guest]
memory = "16MiB"
device_state = "64KiB"
content = { zero = 0.1, compressible = 0.5 }
[workload]
rate = "40MiB/s"
[migration]
record = "64KiB"
streams = 2
link = "1Gbit/s"
downtime_limit = "300ms"
seal_workers = 1
[measure]
repetitions = 1
warmup = 0
arms = ["plain", "copy", "rustcrypto-soft", "rustcrypto", "aws-lc-soft", "aws-lc-aesni", "aws-lc", "aws-lc-128", "chacha20", "chacha20-soft"]
"#;

fn mixed(flags: &[&str]) -> Vec<Migration> {
    let made = run(MIXED, flags);
    assert_eq!(made.code, 0);
    let ran = made.results.migrations;
    for m in &ran {
        let fell_back = m.outcome.status == OutcomeStatus::FellBack;
        assert!(fell_back || m.verified.equal, "{}: {:?}", m.arm, m.outcome);
    }
    ran
}

#[test]
fn every_arm_sends_less_and_arrives_whole() {
    for compression in ["lz4", "zstd", "zstd:1"] {
        for m in mixed(&["--compression", compression]) {
            let bytes = m.compressed_bytes.unwrap();
            // Half of the pages shrink to a third at least, the other half not at all.
            assert!(
                bytes < m.payload_bytes * 3 / 4,
                "{} {compression}: {bytes}",
                m.arm
            );
            assert!(
                bytes > m.payload_bytes / 3,
                "{} {compression}: {bytes}",
                m.arm
            );
            assert!(m.bytes_on_wire < m.payload_bytes * 4 / 5, "{}", m.arm);
            let (source, destination) = (m.cpu.source, m.cpu.destination);
            let (sent, got) = (source.stages.unwrap(), destination.stages.unwrap());
            assert!(sent.compress_s.unwrap() > 0.0 && got.decompress_s.unwrap() > 0.0);
            assert!((sent.sum_s() - source.total_s).abs() < 1e-9);
            assert!((got.sum_s() - destination.total_s).abs() < 1e-9);
        }
    }
}

#[test]
fn counts_under_the_virtual_clock_are_exact_with_a_pool_and_without() {
    let flags = ["--clock", "virtual", "--compression", "lz4"];
    let counts = |ran: &[Migration]| -> Vec<_> {
        let of = |m: &Migration| {
            let rounds = m.rounds.iter().map(|r| (r.pages_sent, r.compressed_bytes));
            (rounds.collect::<Vec<_>>(), m.verified.source_hash.clone())
        };
        ran.iter().map(of).collect()
    };
    let [alone, again] = [0, 1].map(|_| counts(&mixed(&flags)));
    assert_eq!(alone, again);
    assert!(alone.iter().all(|of| *of == alone[0]), "arms differ");
    let pooled = MIXED.replace("seal_workers = 1", "seal_workers = 3");
    assert_eq!(counts(&run(&pooled, &flags).results.migrations), alone);
    // Fewer bytes take the link less time: the guest writes less meanwhile.
    let none = mixed(&["--clock", "virtual"]);
    assert!(none.iter().all(|m| m.compressed_bytes.is_none()));
    assert!(
        none.iter()
            .all(|m| m.cpu.source.stages.unwrap().compress_s.is_none())
    );
    assert!(none[0].rounds[0].pages_dirtied > mixed(&flags)[0].rounds[0].pages_dirtied);
}

#[test]
fn what_does_not_shrink_is_sent_as_it_is() {
    let random = MIXED.replace(
        "zero = 0.1, compressible = 0.5",
        "zero = 0.0, constant = 0.0, compressible = 0.0",
    );
    for m in run(
        &random,
        &[
            "--arms",
            "plain,aws-lc",
            "--rate",
            "0MiB/s",
            "--compression",
            "zstd",
        ],
    )
    .results
    .migrations
    {
        assert_eq!(m.compressed_bytes, Some(m.payload_bytes), "{}", m.arm);
    }
}

#[test]
fn an_unknown_compression_or_level_is_refused_before_anything_starts() {
    for bad in ["gzip", "zstd:0", "zstd:23", "zstd:fast", "lz4:9"] {
        let output = migtax()
            .args(["run", "idle", "--compression", bad])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(bad) && said.contains("lz4") && said.contains("1 to 22"),
            "{said}"
        );
    }
}

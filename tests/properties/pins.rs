//! What fuzzing found, one test each.

use migtax::arm::Arm;
use migtax::error::Error;
use migtax::host::control::read_spec;
use migtax::host::framing::framing;
use migtax::host::{HostSpec, PROTOCOL};
use migtax::memory::PageRun;
use migtax::scenario;
use migtax::wire::{Bounds, Head, RecordKind, WireError};
use migtax::workload::trace::reduce_lackey;

use crate::stream;

/// The final record named the round before the first one, which is the last number there is: the
/// destination took over a guest of which it had received nothing.
#[test]
fn nothing_is_switched_over_before_the_first_round() {
    let input = [&[2], stream::refused_switchover().as_slice()].concat();
    assert!(!stream::check(&input));
}

/// Reserved bytes and padding that were not zero passed.
#[test]
fn a_head_has_one_form() {
    let bounds = Bounds {
        guest_pages: 8,
        record: 4096,
    };
    let mut bytes = Vec::new();
    let head = Head {
        kind: RecordKind::Pages,
        is_packed: false,
        round: 0,
        sequence: 0,
        data_runs: 0,
        zero_runs: 1,
        payload: 0,
    };
    head.encode(&[], &[PageRun { first: 2, pages: 3 }], &mut bytes);
    assert_eq!(Head::decode(&bytes, &bounds), Ok(head));
    for (at, what) in [
        (1, "packed without content of pages"),
        (2, "reserved bytes"),
        (3, "reserved bytes"),
        (40, "padding"),
        (47, "padding"),
    ] {
        bytes[at] = 1;
        assert_eq!(
            Head::decode(&bytes, &bounds),
            Err(WireError::Malformed(what))
        );
        bytes[at] = 0;
    }
}

/// Runs could overlap: in a guest of 512 MiB a head of 2 KiB made the destination scan 128 GiB.
#[test]
fn the_runs_of_a_record_name_each_page_once_and_not_too_many() {
    let bounds = Bounds {
        guest_pages: 1 << 20,
        record: 4 * 4096,
    };
    let run = |first, pages| PageRun { first, pages };
    let whole_guest = vec![run(0, 131_072); 256];
    type Runs<'a> = &'a [PageRun];
    let cases: &[(Runs<'_>, Runs<'_>, Option<&str>)] = &[
        (&[], &whole_guest, Some("overlap")),
        (&[run(0, 1), run(1, 1)], &[run(2, 1)], None),
        (&[run(0, 1), run(9, 1)], &[run(1, 8), run(10, 5)], None),
        (&[run(3, 1), run(3, 1)], &[], Some("overlap")),
        (&[run(3, 2), run(4, 1)], &[], Some("overlap")),
        (&[run(5, 1), run(3, 1)], &[], Some("overlap")),
        (&[], &[run(5, 1), run(3, 1)], Some("overlap")),
        (&[run(3, 1)], &[run(3, 1)], Some("overlap")),
        (&[run(3, 2)], &[run(0, 4)], Some("overlap")),
        // 1 GiB, and a page more.
        (&[], &[run(0, 262_144)], None),
        (&[], &[run(0, 262_144), run(300_000, 1)], Some("zero pages")),
    ];
    for (data, zero, refused) in cases {
        let pages: u64 = data.iter().map(|run| run.pages).sum();
        let head = Head {
            kind: RecordKind::Pages,
            is_packed: false,
            round: 0,
            sequence: 0,
            data_runs: data.len() as u32,
            zero_runs: zero.len() as u32,
            payload: pages as u32 * 4096,
        };
        let mut bytes = Vec::new();
        head.encode(data, zero, &mut bytes);
        match (Head::decode(&bytes, &bounds), refused) {
            (Ok(decoded), None) => assert_eq!(decoded, head),
            (Err(WireError::Malformed(what)), Some(word)) => assert!(what.contains(word), "{what}"),
            (other, _) => panic!("{data:?}, {zero:?}: {other:?}"),
        }
    }
}

/// A round could go on for ever within itself.
#[test]
fn a_round_has_room_for_each_page_once() {
    let input = [&[0], stream::too_many_pages().as_slice()].concat();
    assert!(!stream::check(&input));
}

fn spec(change: impl Fn(&mut HostSpec)) -> HostSpec {
    let mut spec = HostSpec {
        protocol: PROTOCOL,
        arm: Arm::PLAIN,
        sealed: false,
        scenario: scenario::load(None).unwrap(),
        migration_id: "5eed".to_owned(),
        stream_seed: 1,
        start_offset_ns: 0,
        listen: "127.0.0.1:0".to_owned(),
        pin: Vec::new(),
        thread_clock_read_ns: 400.0,
        tunnel: None,
        fleet: None,
    };
    change(&mut spec);
    spec
}

/// A spec that asks a baseline to seal was carried out in the clear.
#[test]
fn a_baseline_can_not_be_told_to_seal() {
    for arm in [Arm::PLAIN, Arm::COPY] {
        let spec = spec(|spec| {
            spec.arm = arm;
            spec.sealed = true;
        });
        let mut line = serde_json::to_vec(&spec).unwrap();
        line.push(b'\n');
        let error = read_spec(&mut line.as_slice()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)));
        assert!(
            error.to_string().starts_with("spec.sealed = true"),
            "{error}"
        );
    }
}

/// A sign passed as a part of the migration's number.
#[test]
fn a_migration_id_is_digits() {
    assert!(framing(&spec(|_| ()), None).is_ok());
    for id in [
        "+5eed",
        "-1",
        "",
        "5e ed",
        "5eed5eed5eed5eed5eed5eed5eed5eed5",
    ] {
        let spec = spec(|spec| spec.migration_id = id.to_owned());
        let error = framing(&spec, None).map(drop).unwrap_err();
        assert!(error.to_string().contains("128 bits in hex"), "{error}");
    }
}

/// Any line that begins with an I was counted as an instruction.
#[test]
fn a_word_is_no_instruction() {
    for line in ["I", "Illegal instruction", "I 4,3"] {
        let error = reduce_lackey(line.as_bytes(), 1, 1, 0, u64::MAX).unwrap_err();
        assert!(error.to_string().contains(line), "{error}");
    }
}

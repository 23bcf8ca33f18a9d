//! One plumbing for every arm: how many calls on the sockets a guest takes, at both ends, for every
//! arm, record size and number of streams, with seal workers and without.
//!
//! The real stream threads take turns over connections in memory, so that the counts are exact.

use std::sync::Arc;
use std::time::Duration;

use migtax::arm::{Arm, Backend, Channel};
use migtax::compression::Compression;
use migtax::crypto::{KeyLimits, MigrationSecret, supported};
use migtax::destination::stream_thread::{Step, StreamThread as Destination};
use migtax::destination::switchover::Switchover;
use migtax::guest::content::{ContentSpec, fill};
use migtax::memory::{GuestMemory, PageRun};
use migtax::record::Framing;
use migtax::source::context::StreamContext;
use migtax::source::order::Order;
use migtax::source::stream_thread::StreamThread as Source;
use migtax::tls::{End, Keys};
use migtax::transport::{Calls, Connection};
use migtax::tunnel;
use migtax::units::{PAGE_SIZE, Size};
use migtax::wire::{Bounds, PREAMBLE_LEN, Preamble};

/// Guest memory, bytes.
const GUEST: usize = 4 << 20;
const KIB: usize = 1 << 10;
/// Bytes of page content that a call sends, where records are no longer.
const CALL: usize = 768 * KIB;
/// Bytes that a call receives at most where records are small.
const SMALL_RECORDS: usize = 64 * KIB;

/// What one way of sending the guest took.
struct Took {
    source: Calls,
    destination: Calls,
    /// Page records.
    records: u64,
}

/// Memory of the guest's size.
fn memory() -> Arc<GuestMemory> {
    Arc::new(GuestMemory::new(Size(GUEST as u64), false).expect("guest memory"))
}

/// How an arm's records are made.
fn framing(arm: Arm, record: usize, streams: u32) -> Framing {
    let backend = arm.backend();
    let secret = || MigrationSecret::generate().expect("a key");
    Framing {
        backend,
        secret: (backend != Backend::None).then(|| Arc::new(secret())),
        compression: Compression::None,
        limits: KeyLimits::for_streams(streams),
        bounds: Bounds {
            guest_pages: (GUEST / PAGE_SIZE) as u64,
            record,
        },
        preamble: Preamble {
            migration_id: 1,
            stream: 0,
            streams,
        },
        tls: (arm.channel() == Some(Channel::Tls))
            .then(|| Arc::new(Keys::new(secret().tls_key().expect("a key"), false))),
    }
}

/// Sends the guest once.
fn send(arm: Arm, record: usize, streams: u32, workers: usize, content: &ContentSpec) -> Took {
    let memories = [memory(), memory()];
    fill(&memories[0], content, 1);
    let framing = framing(arm, record, streams);
    let pool = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers);
        pool.build().expect("threads are there")
    };
    let shared = Arc::new(StreamContext {
        memory: memories[0].clone(),
        streams,
        bounds: framing.bounds,
        pacer: None,
        round_trip: None,
        pool: (workers > 1).then(pool),
        time_all: false,
    });
    let switchover = Arc::new(Switchover::new(streams, 0, Duration::ZERO));
    let all = PageRun {
        first: 0,
        pages: memories[0].pages(),
    };
    let runs = Arc::new(vec![all]);
    let mut took = Took {
        source: Calls::default(),
        destination: Calls::default(),
        records: 0,
    };
    for stream in 0..streams {
        let framing = Framing {
            preamble: Preamble {
                stream,
                ..framing.preamble
            },
            ..framing.clone()
        };
        let [near, mut far] = Connection::in_memory(stream, 2 * GUEST);
        let mut source = Source::open(near, &framing, shared.clone()).expect("a source");
        let mut preamble = [0; PREAMBLE_LEN];
        far.receive(&mut preamble, "the preamble").expect("sent");
        let (memory, switchover) = (memories[1].clone(), switchover.clone());
        let mut destination =
            Destination::open(far, &framing, memory, switchover, false).expect("a destination");
        let before = (source.calls(), destination.calls());
        let round = Order::Round {
            round: 0,
            runs: runs.clone(),
        };
        let awaited = source.begin(round).expect("sent");
        while destination.step().expect("applied") == Step::Applied {}
        let done = source.complete(awaited).expect("acknowledged");
        took.records += done.totals.records;
        let since = |after: Calls, before: Calls| Calls {
            sends: after.sends - before.sends,
            receives: after.receives - before.receives,
        };
        let both = [
            since(source.calls(), before.0),
            since(destination.calls(), before.1),
        ];
        took.source = [took.source, both[0]].into_iter().sum();
        took.destination = [took.destination, both[1]].into_iter().sum();
    }
    assert_eq!(memories[0].hash(), memories[1].hash());
    took
}

#[test]
fn every_arm_makes_the_same_calls() {
    for record in [4 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB] {
        for streams in [1, 2] {
            check(record, streams, &ContentSpec::default());
        }
    }
}

/// Every other page zero: a record of many runs, with a head that is longer.
#[test]
fn scattered_pages_take_no_more_calls() {
    let content = ContentSpec {
        zero: 0.5,
        ..ContentSpec::default()
    };
    check(256 * KIB, 1, &content);
}

/// TLS hands what it sealed to its socket in larger pieces than its records, and not for each of ours.
#[test]
fn tls_makes_a_call_for_many_of_its_records() {
    for record in [4 * KIB, 256 * KIB, 1024 * KIB] {
        let plain = send(Arm::PLAIN, record, 1, 1, &ContentSpec::default());
        let sends = send_over_tls(record);
        // A call of ours and what TLS adds to it, in pieces of 256 KiB.
        let most = plain.source.sends * (CALL.max(record) / (256 * KIB) + 1) as u64;
        assert!(sends <= most, "{record}: {sends}, at most {most}");
    }
}

/// Sends the guest through TLS over a socket: calls that sent, from the handshake on.
fn send_over_tls(record: usize) -> u64 {
    let framing = framing(Arm::TLS, record, 1);
    let memories = [memory(), memory()];
    fill(&memories[0], &ContentSpec::default(), 1);
    let shared = Arc::new(StreamContext {
        memory: memories[0].clone(),
        streams: 1,
        bounds: framing.bounds,
        pacer: None,
        round_trip: None,
        pool: None,
        time_all: false,
    });
    let runs = Arc::new(vec![PageRun {
        first: 0,
        pages: memories[0].pages(),
    }]);
    let (near, far) = tunnel::pair().expect("sockets");
    let limit = Duration::from_secs(60);
    let end = |socket, peer| Connection::new(socket, 0, peer, limit).expect("a connection");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut far = end(far, "source");
            let mut preamble = [0; PREAMBLE_LEN];
            far.receive(&mut preamble, "the preamble").expect("sent");
            let far = framing.protect(far, End::Server).expect("a handshake");
            let switchover = Arc::new(Switchover::new(1, 0, Duration::ZERO));
            let memory = memories[1].clone();
            let mut destination =
                Destination::open(far, &framing, memory, switchover, false).expect("a destination");
            while destination.step().expect("applied") == Step::Applied {}
        });
        let mut source =
            Source::open(end(near, "destination"), &framing, shared).expect("a source");
        let before = source.calls();
        let awaited = source.begin(Order::Round { round: 0, runs }).expect("sent");
        source.complete(awaited).expect("acknowledged");
        source.calls().sends - before.sends
    })
}

fn check(record: usize, streams: u32, content: &ContentSpec) {
    let plain = send(Arm::PLAIN, record, streams, 1, content);
    let in_call = (CALL / record).max(1) as u64;
    // Each stream's last call may be smaller, and one ends the round.
    let calls = plain.records / in_call;
    let sends = calls..=calls + 2 * u64::from(streams);
    assert!(sends.contains(&plain.source.sends), "{:?}", plain.source);
    for arm in Arm::own().filter(|arm| supported(*arm).is_ok()) {
        for workers in [1, 4] {
            let took = send(arm, record, streams, workers, content);
            let name = format!("{} {record} {streams} {workers}", arm.name());
            assert_eq!(took.records, plain.records, "{name}");
            assert_eq!(took.source, plain.source, "{name}");
            let (sends, receives) = (took.destination.sends, took.destination.receives);
            assert_eq!(sends, plain.destination.sends, "{name}");
            // A tag more with each record may be a call more now and then.
            let tags = match record {
                ..SMALL_RECORDS => (plain.records as usize * 16 / SMALL_RECORDS + 1) as u64,
                _ => 0,
            } * u64::from(streams);
            let expected = plain.destination.receives..=plain.destination.receives + tags;
            assert!(
                expected.contains(&receives),
                "{name}: {receives} {expected:?}"
            );
        }
    }
}

//! What does not open: pages may stand in the destination's memory before their tag is compared, so no guest may
//! run on that memory once one has not opened, whatever else comes and whenever it does.
//!
//! The real stream threads of the destination, stepped over connections in memory; the source's end is in the
//! hands of the test, which has the key and damages what it likes.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use migtax::arm::Backend;
use migtax::compression::Compression;
use migtax::crypto::{FlowDirection, KeyLimits, MigrationSecret, implementation};
use migtax::destination::stream_thread::{Step, StreamThread};
use migtax::destination::switchover::Switchover;
use migtax::memory::{GuestMemory, PageRun};
use migtax::record::{Draft, Framing, Outbound};
use migtax::transport::Connection;
use migtax::units::{PAGE_SIZE, Size};
use migtax::wire::{Bounds, Preamble, RecordKind, Totals};
use strum::IntoEnumIterator as _;

const PAGES: u64 = 64;
const STREAMS: u32 = 2;
/// What a damaged record says that these pages hold.
const FORGED: PageRun = PageRun {
    first: 40,
    pages: 8,
};
/// What an honest one brings.
const HONEST: PageRun = PageRun { first: 3, pages: 4 };

fn memory() -> Arc<GuestMemory> {
    let size = Size(PAGES * PAGE_SIZE as u64);
    Arc::new(GuestMemory::new(size, false).expect("256 KiB"))
}

fn sealing() -> impl Iterator<Item = Backend> {
    Backend::iter().filter(|backend| implementation(*backend).tag_len() > 0)
}

/// Both streams of a migration, with the source's ends.
struct Streams {
    ends: Vec<End>,
    threads: Vec<StreamThread>,
    memory: Arc<GuestMemory>,
    switchover: Arc<Switchover>,
}

/// The source's end of a stream.
struct End {
    outbound: Outbound,
    draft: Draft,
    near: Connection,
    content: Arc<GuestMemory>,
}

impl Streams {
    fn new(backend: Backend) -> Streams {
        let secret = Arc::new(MigrationSecret::generate().expect("a key"));
        let (memory, content) = (memory(), memory());
        (0..PAGES).for_each(|page| content.write_word(page, 8, page + 1));
        let switchover = Arc::new(Switchover::new(STREAMS, 0, Duration::ZERO));
        let (ends, threads) = (0..STREAMS)
            .map(|stream| {
                let framing = Framing {
                    backend,
                    secret: Some(secret.clone()),
                    compression: Compression::None,
                    limits: KeyLimits::for_streams(STREAMS),
                    bounds: Bounds {
                        guest_pages: PAGES,
                        record: 16 * PAGE_SIZE,
                    },
                    preamble: Preamble {
                        migration_id: 7,
                        stream,
                        streams: STREAMS,
                    },
                    tls: None,
                };
                let [near, far] = Connection::in_memory(stream, 1 << 20);
                let thread =
                    StreamThread::open(far, &framing, memory.clone(), switchover.clone(), false);
                let end = End {
                    outbound: Outbound::new(&framing, FlowDirection::ToDestination).expect("a key"),
                    draft: Draft::new(&framing),
                    near,
                    content: content.clone(),
                };
                (end, thread.expect("a cipher"))
            })
            .unzip();
        Streams {
            ends,
            threads,
            memory,
            switchover,
        }
    }

    /// Both streams' round 0: an honest record on stream 0, nothing on stream 1. What the final record says of it.
    fn round(&mut self) -> [Totals; 2] {
        let sent = [self.ends[0].pages(0, HONEST, false), Totals::default()];
        assert_eq!(self.threads[0].step().expect("honest"), Step::Applied);
        for (stream, totals) in sent.iter().enumerate() {
            self.ends[stream].control(RecordKind::RoundEnd, &totals.encode());
            let step = self.threads[stream].step();
            assert_eq!(step.expect("honest"), Step::RoundEnded);
        }
        sent
    }

    /// Whether these pages are as they were at first.
    fn are_zero(&self, run: PageRun) -> bool {
        (run.first..run.end()).all(|page| self.memory.is_zero(page))
    }
}

impl End {
    /// Sends pages; damaged: with another tag than theirs.
    fn pages(&mut self, round: u32, run: PageRun, is_damaged: bool) -> Totals {
        self.draft.zero.clear();
        self.draft.data.clear();
        self.draft.data.push(run);
        self.draft.take_pages(&self.content);
        let framed = self.outbound.frame_pages(&mut self.draft, round);
        framed
            .and_then(|()| self.outbound.seal(&mut self.draft))
            .expect("sealed");
        match is_damaged {
            false => self.draft.transmit(&mut self.near).expect("room for it"),
            true => {
                let [mut aside, mut there] = Connection::in_memory(0, 1 << 20);
                self.draft.transmit(&mut aside).expect("room for it");
                let mut bytes = vec![0; self.draft.wire_len()];
                there.receive(&mut bytes, "a record").expect("sent");
                *bytes.last_mut().expect("a tag") ^= 1;
                self.near.send(&bytes).expect("room for it");
            }
        }
        Totals {
            records: 1,
            pages: run.pages,
            zero_pages: 0,
        }
    }

    /// Sends a control record of round 0.
    fn control(&mut self, kind: RecordKind, payload: &[u8]) {
        self.outbound
            .send_control(&mut self.near, &mut self.draft, kind, 0, payload)
            .expect("room for it");
    }

    fn last(&mut self, sent: [Totals; 2]) {
        self.control(RecordKind::Final, &sent.map(Totals::encode).concat());
    }
}

#[test]
fn no_guest_runs_where_a_record_did_not_open() {
    let mut placed = Vec::new();
    for backend in sealing() {
        let mut streams = Streams::new(backend);
        let sent = streams.round();
        streams.ends[1].pages(1, FORGED, true);
        let error = streams.threads[1].step().expect_err("damaged");
        assert!(error.to_string().contains("is not authentic"), "{error}");
        if !streams.are_zero(FORGED) {
            placed.push(backend);
        }
        streams.ends[0].last(sent);
        let refused = streams.threads[0].step();
        if placed.contains(&backend) {
            let refused = refused.expect_err("the guest stays").to_string();
            assert!(refused.contains("after a stream had failed"), "{refused}");
            assert!(!streams.switchover.is_decided(), "{backend:?}");
        }
        assert!(!streams.are_zero(HONEST));
    }
    assert!(
        placed.contains(&Backend::AwsLc),
        "{placed:?}: pages reach guest memory before their tag is compared, or this test shows nothing"
    );
}

#[test]
fn what_comes_after_the_switchover_reaches_no_guest() {
    for backend in sealing() {
        let mut streams = Streams::new(backend);
        let sent = streams.round();
        streams.ends[0].last(sent);
        assert_eq!(streams.threads[0].step().expect("honest"), Step::Ended);
        assert!(streams.switchover.is_switched_over());
        let before = streams.memory.hash();
        streams.ends[1].pages(1, FORGED, true);
        streams.threads[1].step().expect_err("damaged");
        assert!(streams.memory.hash() == before, "{backend:?}");
        assert!(!streams.switchover.fail(), "its fate was decided before");
    }
}

/// A record is being opened while the final one comes on another stream: that waits, and is refused.
#[test]
fn no_fate_is_decided_while_a_record_is_opened() {
    let mut streams = Streams::new(Backend::AwsLc);
    let sent = streams.round();
    streams.ends[0].last(sent);
    let mut first = streams.threads.remove(0);
    let admission = streams.switchover.admit().expect("nothing was decided");
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        let deciding = scope.spawn(move || {
            // SAFETY: no arguments.
            tell.send(unsafe { libc::gettid() }).expect("awaited");
            first.step()
        });
        let stat = format!("/proc/self/task/{}/stat", told.recv().expect("it runs"));
        let deadline = Instant::now() + Duration::from_secs(60);
        // The third field: what the thread is at.
        while !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S ")) {
            assert!(!deciding.is_finished(), "it did not wait");
            assert!(Instant::now() < deadline, "it neither waits nor ends");
            std::thread::yield_now();
        }
        assert!(!streams.switchover.is_decided());
        // It did not open.
        drop(admission);
        let refused = deciding.join().expect("no panic").expect_err("refused");
        assert!(refused.to_string().contains("after a stream had failed"));
    });
    assert!(!streams.switchover.is_switched_over());
}

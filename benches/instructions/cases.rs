//! What is counted: one piece of the data path a case, each in a process of its own.

use std::fmt;
use std::sync::Arc;

use migtax::arm::{Arm, Backend};
use migtax::crypto::{
    self, FlowDirection, KeyLimits, MigrationSecret, OpenSequence, Opener, SealSequence, Sealer,
    TAG_LEN,
};
use migtax::guest::content::{ContentSpec, fill};
use migtax::memory::{GuestMemory, PageRun, Segment};
use migtax::tracking::{Bitmap, Tracker};
use migtax::units::Size;
use migtax::wire::{AAD_LEN, Bounds, Head, RecordKind, verify_checksum, write_checksum};

use crate::pass::Pass;

/// Page payload in a record, bytes: one page, and what bulk transfers tend to.
const RECORDS: [usize; 2] = [4 << 10, 64 << 10];
/// Sealed or opened in one case.
const RECORDS_SEALED: usize = 4;
/// Of the guest that is harvested: 256 MiB.
const HARVESTED_PAGES: u64 = 1 << 16;
/// One page in so many is dirty.
const HARVEST_STRIDES: [u64; 2] = [1, 64];
/// In a head.
const RUNS: [u64; 2] = [1, 64];
/// Heads encoded or decoded in one case.
const HEADS: u64 = 100;

/// One piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Records of so many bytes.
    Seal(Arm, usize),
    /// The same.
    Open(Arm, usize),
    /// One page in so many is dirty.
    Harvest(u64),
    /// Heads of so many runs.
    Encode(u64),
    /// The same.
    Decode(u64),
    /// A whole one.
    Migration(Arm),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Case::Seal(arm, record) => write!(f, "seal/{arm}/{}KiB", record >> 10),
            Case::Open(arm, record) => write!(f, "open/{arm}/{}KiB", record >> 10),
            Case::Harvest(1) => f.write_str("harvest/bitmap/all-dirty"),
            Case::Harvest(stride) => write!(f, "harvest/bitmap/1-in-{stride}-dirty"),
            Case::Encode(runs) => write!(f, "encode/{runs}-runs"),
            Case::Decode(runs) => write!(f, "decode/{runs}-runs"),
            Case::Migration(arm) => write!(f, "migration/{arm}"),
        }
    }
}

impl Case {
    /// Every case of arms that this machine supports.
    pub fn all() -> Vec<Case> {
        let arms = Arm::own();
        let arms: Vec<Arm> = arms.filter(|arm| crypto::supported(*arm).is_ok()).collect();
        let mut all = Vec::new();
        for arm in arms.iter().copied().filter(|arm| *arm != Arm::PLAIN) {
            all.extend(RECORDS.map(|record| Case::Seal(arm, record)));
            // The null cipher has nothing to open.
            if arm != Arm::COPY {
                all.extend(RECORDS.map(|record| Case::Open(arm, record)));
            }
        }
        all.extend(HARVEST_STRIDES.map(Case::Harvest));
        all.extend(RUNS.map(Case::Encode));
        all.extend(RUNS.map(Case::Decode));
        all.extend(arms.into_iter().map(Case::Migration));
        all
    }

    /// The arm, if the case has one.
    pub fn arm(self) -> Option<Arm> {
        match self {
            Case::Seal(arm, _) | Case::Open(arm, _) | Case::Migration(arm) => Some(arm),
            Case::Harvest(_) | Case::Encode(_) | Case::Decode(_) => None,
        }
    }

    /// What is done, with its amount.
    pub fn work(self) -> String {
        match self {
            Case::Seal(_, record) | Case::Open(_, record) => {
                format!("{RECORDS_SEALED} records of {}KiB", record >> 10)
            }
            Case::Harvest(stride) => {
                format!("{HARVESTED_PAGES} guest pages, 1 in {stride} dirty")
            }
            Case::Encode(runs) | Case::Decode(runs) => format!("{HEADS} heads of {runs} runs"),
            Case::Migration(_) => Pass::work(),
        }
    }

    /// Does it; `counted` runs the part that counts. What a first call alone does, such as choosing
    /// code for the CPU, was done before.
    pub fn run(self, mut counted: impl FnMut(&mut dyn FnMut())) {
        match self {
            Case::Seal(arm, record) => seal(arm.backend(), record, counted),
            Case::Open(arm, record) => open(arm.backend(), record, counted),
            Case::Harvest(stride) => harvest(stride, counted),
            Case::Encode(runs) => {
                let mut heads = Heads::new(runs);
                heads.encode();
                counted(&mut || (0..HEADS).for_each(|_| heads.encode()));
            }
            Case::Decode(runs) => {
                let mut heads = Heads::new(runs);
                heads.encode();
                let mut sum = heads.decode();
                counted(&mut || sum += (0..HEADS).map(|_| heads.decode()).sum::<u64>());
                assert_eq!(sum, (HEADS + 1) * (0..runs).map(|run| run * 3).sum::<u64>());
            }
            Case::Migration(arm) => {
                Pass::new(arm).migrate(|work| work());
                let mut pass = Pass::new(arm);
                pass.migrate(counted);
                pass.check();
            }
        }
    }
}

/// Pages as a guest has them, and room for as many sealed records, whose place in memory does not
/// depend on what was allocated before.
struct Records {
    input: GuestMemory,
    output: GuestMemory,
    record: usize,
    stride: usize,
}

impl Records {
    fn new(record: usize) -> Records {
        let count = RECORDS_SEALED + 1;
        let stride = record + (4 << 10);
        let memory = |len: usize| GuestMemory::new(Size(len as u64), false).expect("memory");
        let input = memory(count * record);
        let random = ContentSpec {
            zero: 0.0,
            constant: 0.0,
            compressible: 0.0,
        };
        fill(&input, &random, 1);
        Records {
            input,
            output: memory(count * stride),
            record,
            stride,
        }
    }

    fn pages(&self, at: usize) -> Segment {
        // SAFETY: `at` is at most RECORDS_SEALED, so the record lies inside the memory, which lives
        // as long as `self` and is not written to any more.
        unsafe {
            let start = self.input.base_ptr().add(at * self.record);
            Segment::new(start.cast_const(), self.record)
        }
    }

    fn sealed(&mut self, at: usize) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` sees to it that there is one reference at a time.
        unsafe {
            let start = self.output.base_ptr().add(at * self.stride);
            std::slice::from_raw_parts_mut(start, self.record + TAG_LEN)
        }
    }
}

/// Associated data as long as the wire's.
const AAD: [u8; AAD_LEN] = [0xAD; AAD_LEN];

/// A key, and records sealed with it.
struct Sealing {
    secret: Arc<MigrationSecret>,
    limits: KeyLimits,
    sequence: SealSequence,
    sealer: Sealer,
    records: Records,
}

impl Sealing {
    fn new(backend: Backend, record: usize) -> Sealing {
        let secret = Arc::new(MigrationSecret::generate().expect("a key"));
        let limits = KeyLimits::for_streams(1);
        Sealing {
            sequence: SealSequence::new(&secret, 0, FlowDirection::ToDestination, limits)
                .expect("a fresh secret"),
            sealer: Sealer::new(backend, secret.clone()).expect("a cipher"),
            records: Records::new(record),
            secret,
            limits,
        }
    }

    fn seal(&mut self, at: usize) {
        let slot = self.sequence.next(self.records.record).expect("a slot");
        let pages = [self.records.pages(at)];
        let out = self.records.sealed(at);
        let sealed = self.sealer.seal(slot, &AAD, &[], &pages, out);
        sealed.expect("a sealed record");
    }
}

fn seal(backend: Backend, record: usize, mut counted: impl FnMut(&mut dyn FnMut())) {
    let mut sealing = Sealing::new(backend, record);
    sealing.seal(0);
    counted(&mut || (1..=RECORDS_SEALED).for_each(|at| sealing.seal(at)));
}

fn open(backend: Backend, record: usize, mut counted: impl FnMut(&mut dyn FnMut())) {
    let mut sealing = Sealing::new(backend, record);
    (0..=RECORDS_SEALED).for_each(|at| sealing.seal(at));
    let Sealing {
        secret,
        limits,
        mut records,
        ..
    } = sealing;
    let mut sequence = OpenSequence::new(&secret, 0, FlowDirection::ToDestination, limits);
    let mut opener = Opener::new(backend, secret).expect("a cipher");
    let mut open = |at| {
        let slot = sequence.next(record).expect("a slot");
        let opened = opener.open_in_place(slot, &AAD, records.sealed(at));
        assert_eq!(opened.ok(), Some(record), "an authentic record");
    };
    open(0);
    counted(&mut || (1..=RECORDS_SEALED).for_each(&mut open));
}

/// With the bitmap, which works everywhere; userfaultfd's harvest is one system call, and what the
/// kernel does in it is not counted.
fn harvest(stride: u64, mut counted: impl FnMut(&mut dyn FnMut())) {
    let tracker = Bitmap::new(HARVESTED_PAGES);
    tracker.start().expect("a bitmap always starts");
    let mut runs = Vec::new();
    let mut found = 0;
    let dirty = || {
        let pages = (0..HARVESTED_PAGES).step_by(stride as usize);
        pages.for_each(|page| tracker.mark(page));
    };
    dirty();
    tracker.harvest(&mut runs).expect("a started tracker");
    dirty();
    counted(&mut || found = tracker.harvest(&mut runs).expect("a started tracker"));
    assert_eq!(found, HARVESTED_PAGES / stride);
}

/// Heads with a checksum, as the data path makes and checks them.
struct Heads {
    head: Head,
    bounds: Bounds,
    runs: Vec<PageRun>,
    bytes: Vec<u8>,
}

impl Heads {
    fn new(runs: u64) -> Heads {
        Heads {
            head: Head {
                kind: RecordKind::Pages,
                is_packed: false,
                round: 1,
                sequence: 9,
                data_runs: runs as u32,
                zero_runs: 0,
                payload: runs as u32 * 4096,
            },
            bounds: Bounds {
                guest_pages: 1 << 20,
                record: 1 << 20,
            },
            runs: (0..runs)
                .map(|run| PageRun {
                    first: run * 3,
                    pages: 1,
                })
                .collect(),
            bytes: Vec::new(),
        }
    }

    fn encode(&mut self) {
        self.head.encode(&self.runs, &[], &mut self.bytes);
        write_checksum(&AAD, &mut self.bytes, &[]);
    }

    fn decode(&self) -> u64 {
        verify_checksum(&AAD, &self.bytes, &[]).expect("it was written before");
        let head = Head::decode(&self.bytes, &self.bounds).expect("it was written before");
        head.data(&self.bytes).map(|run| run.first).sum()
    }
}

//! One suite over every tracker, and a tracker that tracks nothing, which must fail it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

use migtax::memory::{GuestMemory, PageRun};
use migtax::tracking::{self, NoTracker, Tracker, TrackerKind, TrackerSpec};
use migtax::units::{PAGE_SIZE, Size};

/// Pages of the guest: some 2 MiB regions, and a rest that fills neither a region nor a word of 64.
const PAGES: u64 = 3 * 512 + 37;

/// A guest and its tracker, and the way an instrumented guest writes.
struct Subject {
    memory: Arc<GuestMemory>,
    tracker: Arc<dyn Tracker>,
}

impl Subject {
    fn write(&self, page: u64, value: u64) {
        self.memory.write_word(page, 64, value);
        self.tracker.mark(page);
    }

    fn write_all(&self, pages: impl IntoIterator<Item = u64>) {
        for page in pages {
            self.write(page, page + 1);
        }
    }

    fn harvest(&self) -> Vec<PageRun> {
        // What the vector held before must not show.
        let mut runs = vec![PageRun { first: 7, pages: 7 }];
        let pages = self.tracker.harvest(&mut runs).expect("harvest");
        assert_eq!(pages, runs.iter().map(|run| run.pages).sum::<u64>());
        runs
    }
}

fn runs(expected: &[(u64, u64)]) -> Vec<PageRun> {
    let run = |&(first, pages)| PageRun { first, pages };
    expected.iter().map(run).collect()
}

type Check = fn(&Subject);

/// The suite: a name and a check on a started tracker over memory that is not zero.
const SUITE: &[(&str, Check)] = &[
    ("start is clean", start_is_clean),
    ("each write is found exactly once", each_write_once),
    ("runs are maximal, ascending, disjoint", runs_are_maximal),
    ("a fully dirty guest is one run", fully_dirty_is_one_run),
    ("random dirty sets are found exactly", random_sets),
    ("start begins anew", start_begins_anew),
    ("reads do not dirty", reads_do_not_dirty),
    ("stop ends tracking, start takes it up", stop_and_start),
    ("no write is lost to a racing harvest", no_write_is_lost),
];

/// Checks of the suite that hold when nothing is ever found.
const TRUE_OF_NOTHING: &[&str] = &["start is clean", "start begins anew", "reads do not dirty"];

fn start_is_clean(subject: &Subject) {
    assert_eq!(subject.harvest(), []);
    assert_eq!(subject.harvest(), []);
}

fn each_write_once(subject: &Subject) {
    for page in [0, 1, 63, 64, 511, 512, PAGES - 1] {
        subject.write(page, 5);
        subject.write(page, 6);
        assert_eq!(subject.harvest(), runs(&[(page, 1)]));
        assert_eq!(subject.harvest(), [], "page {page} again");
    }
}

fn runs_are_maximal(subject: &Subject) {
    let table: &[&[(u64, u64)]] = &[
        &[(0, 1), (2, 1), (4, 1)],
        &[(0, 64), (65, 63)],
        &[(62, 4), (510, 4), (1022, 515)],
        &[(0, 512), (513, 1), (1024, 512)],
        &[(1, PAGES - 2)],
    ];
    for expected in table {
        // Written backwards, so that order is the tracker's own doing.
        for (first, pages) in expected.iter().rev() {
            subject.write_all((*first..first + pages).rev());
        }
        assert_eq!(subject.harvest(), runs(expected));
    }
}

fn fully_dirty_is_one_run(subject: &Subject) {
    for _ in 0..2 {
        subject.write_all(0..PAGES);
        assert_eq!(subject.harvest(), runs(&[(0, PAGES)]));
    }
}

fn random_sets(subject: &Subject) {
    let mut state = 1u64;
    for round in 0..30 {
        // Sets from very sparse to nearly full; more runs than one system call returns as well.
        let mut dirty = vec![false; PAGES as usize];
        for page in 0..PAGES {
            // Knuth's 64-bit linear congruential generator.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            dirty[page as usize] = (state >> 33) % 30 <= round;
        }
        subject.write_all((0..PAGES).filter(|page| dirty[*page as usize]));
        let mut found = vec![false; PAGES as usize];
        let mut end = None;
        for run in subject.harvest() {
            assert!(run.pages > 0 && end.is_none_or(|end| end < run.first));
            end = Some(run.end());
            run.range().for_each(|page| found[page as usize] = true);
        }
        assert_eq!(found, dirty, "round {round}");
    }
}

fn start_begins_anew(subject: &Subject) {
    subject.write_all([3, 4, 900]);
    subject.tracker.start().expect("start again");
    assert_eq!(subject.harvest(), []);
}

fn reads_do_not_dirty(subject: &Subject) {
    let mut bytes = vec![0; subject.memory.len()];
    subject.memory.copy_out(0, &mut bytes);
    (0..PAGES).for_each(|page| assert!(!subject.memory.is_zero(page)));
    // Zeroing what is zero is a read.
    let zeros = GuestMemory::new(Size(PAGE_SIZE as u64), false).unwrap();
    zeros.zero_pages(0, 1);
    assert_eq!(subject.harvest(), []);
}

fn stop_and_start(subject: &Subject) {
    subject.write(1, 1);
    subject.tracker.stop().expect("stop");
    subject.tracker.stop().expect("stop a second time");
    subject.write(2, 2);
    let refused = subject.tracker.harvest(&mut Vec::new());
    assert!(refused.is_err(), "harvested while stopped");
    subject.tracker.start().expect("start");
    assert_eq!(subject.harvest(), []);
    subject.write(3, 3);
    assert_eq!(subject.harvest(), runs(&[(3, 1)]));
}

/// Writers count up in their own words of a few pages while a harvester reads what it finds dirty.
/// When they have stopped, one last harvest must make its copy equal to memory.
///
/// Many short rounds, each of which writes a page once per writer: a write that is lost and then
/// made good by the next one to its page would not show. Few pages, so that harvests, writers and
/// words of a bitmap meet all the time.
fn no_write_is_lost(subject: &Subject) {
    const WRITERS: u64 = 2;
    const STRESSED: u64 = 150;
    let rounds = match subject.tracker.kind() {
        // Each write is a page fault, and its races are long ones.
        TrackerKind::Userfaultfd => 1500,
        // Races of a few nanoseconds.
        _ => 20_000,
    };
    let word = |writer: u64, page: u64| {
        let offset = 512 * (1 + writer as usize);
        subject.memory.words(page)[offset / 8].load(SeqCst)
    };
    let mut copy = vec![[0; WRITERS as usize]; STRESSED as usize];
    let update = |copy: &mut [[u64; WRITERS as usize]]| {
        for page in subject.harvest().into_iter().flat_map(PageRun::range) {
            copy[page as usize] = std::array::from_fn(|writer| word(writer as u64, page));
        }
    };
    let gate = Barrier::new(WRITERS as usize + 1);
    let writing = AtomicU64::new(0);
    let mut lost = 0;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (gate, writing) = (&gate, &writing);
            scope.spawn(move || {
                for round in 1..=rounds {
                    gate.wait();
                    // The same order in one round, opposite orders in the next.
                    let reverse = round % 2 == writer;
                    for step in 0..STRESSED {
                        let page = if reverse { STRESSED - 1 - step } else { step };
                        let offset = 512 * (1 + writer as usize);
                        subject.memory.write_word(page, offset, round);
                        subject.tracker.mark(page);
                    }
                    writing.fetch_sub(1, SeqCst);
                    gate.wait();
                }
            });
        }
        for round in 1..=rounds {
            writing.store(WRITERS, SeqCst);
            gate.wait();
            while writing.load(SeqCst) > 0 {
                update(&mut copy);
            }
            gate.wait();
            update(&mut copy);
            let current = |words: &[u64; WRITERS as usize]| *words == [round; WRITERS as usize];
            lost += copy.iter().filter(|words| !current(words)).count();
        }
    });
    assert_eq!(lost, 0, "{lost} pages had a write that no harvest found");
    let current = |page| (0..WRITERS).all(|writer| word(writer, page) == rounds);
    assert!((0..STRESSED).all(current));
}

fn subject(huge_pages: bool, open: impl FnOnce(&Arc<GuestMemory>) -> Arc<dyn Tracker>) -> Subject {
    let size = Size(PAGES * PAGE_SIZE as u64);
    let memory = Arc::new(GuestMemory::new(size, huge_pages).expect("guest memory"));
    for page in 0..PAGES {
        memory.write_word(page, 0, page + 1);
    }
    let tracker = open(&memory);
    Subject { memory, tracker }
}

fn conforms(huge_pages: bool, spec: TrackerSpec) {
    let open = |memory: &Arc<GuestMemory>| tracking::open(spec, memory).expect("open");
    let before = subject(huge_pages, open);
    let refused = before.tracker.harvest(&mut Vec::new());
    assert!(refused.is_err(), "harvested before the start");
    for (name, check) in SUITE {
        eprintln!("{spec:?}: {name}");
        let subject = subject(huge_pages, open);
        // Writes before the start are nobody's business.
        subject.write_all([0, 77]);
        subject.tracker.start().expect("start");
        check(&subject);
    }
}

/// Whether this machine has userfaultfd; the reason goes to the test's output.
fn has_userfaultfd() -> bool {
    let (_, available) = tracking::available()
        .into_iter()
        .find(|(kind, _)| *kind == TrackerKind::Userfaultfd)
        .expect("userfaultfd is listed");
    if let Err(reason) = &available {
        eprintln!("userfaultfd not tested: {reason}");
    }
    available.is_ok()
}

#[test]
fn bitmap_conforms() {
    conforms(false, TrackerSpec::Bitmap);
    conforms(true, TrackerSpec::Bitmap);
}

#[test]
fn userfaultfd_conforms() {
    if has_userfaultfd() {
        conforms(false, TrackerSpec::Userfaultfd);
    }
}

#[test]
fn userfaultfd_conforms_on_huge_pages() {
    if has_userfaultfd() {
        conforms(true, TrackerSpec::Userfaultfd);
    }
}

#[test]
fn a_tracker_that_tracks_nothing_fails_the_suite() {
    for (name, check) in SUITE {
        let subject = subject(false, |_| Arc::new(NoTracker));
        subject.tracker.start().expect("start");
        let passed = catch_unwind(AssertUnwindSafe(|| check(&subject))).is_ok();
        assert_eq!(passed, TRUE_OF_NOTHING.contains(name), "{name}");
    }
}

#[test]
fn auto_takes_userfaultfd_where_the_kernel_has_it() {
    let subject = subject(false, |memory| {
        tracking::open(TrackerSpec::Auto, memory).expect("open")
    });
    let expected = if has_userfaultfd() {
        TrackerKind::Userfaultfd
    } else {
        TrackerKind::Bitmap
    };
    assert_eq!(subject.tracker.kind(), expected);
}

#[test]
fn userfaultfd_sees_writes_that_nobody_marked() {
    use std::io::{Seek, Write};
    use std::os::fd::AsRawFd;

    if !has_userfaultfd() {
        return;
    }
    let subject = subject(false, |memory| {
        tracking::open(TrackerSpec::Userfaultfd, memory).expect("open")
    });
    subject.tracker.start().expect("start");
    subject.memory.write_word(600, 8, 1);
    assert_eq!(subject.harvest(), runs(&[(600, 1)]));

    // The kernel writes two pages and a byte of a third.
    let mut file = tempfile::tempfile().unwrap();
    let content = vec![0xa5; 2 * PAGE_SIZE + 1];
    file.write_all(&content).unwrap();
    file.rewind().unwrap();
    let target = subject.memory.page_ptr(100);
    // SAFETY: three pages of guest memory follow `target`.
    let read = unsafe { libc::read(file.as_raw_fd(), target.cast(), content.len()) };
    assert_eq!(read, content.len() as isize);
    assert_eq!(
        subject.memory.words(101)[0].load(SeqCst),
        0xa5a5_a5a5_a5a5_a5a5
    );
    assert_eq!(subject.harvest(), runs(&[(100, 3)]));
    assert_eq!(subject.harvest(), []);
}

#[test]
fn a_huge_page_is_tracked_by_4_kib() {
    if !has_userfaultfd() {
        return;
    }
    let subject = subject(true, |memory| {
        tracking::open(TrackerSpec::Userfaultfd, memory).expect("open")
    });
    subject.tracker.start().expect("start");
    subject.write(700, 1);
    assert_eq!(subject.harvest(), runs(&[(700, 1)]));
    subject.write_all([699, 701]);
    assert_eq!(subject.harvest(), runs(&[(699, 1), (701, 1)]));
}

#[test]
fn a_tracker_leaves_content_alone() {
    let subject = subject(true, |memory| {
        tracking::open(TrackerSpec::Auto, memory).expect("open")
    });
    let hash = subject.memory.hash();
    subject.tracker.start().expect("start");
    subject.harvest();
    assert_eq!(subject.memory.hash(), hash);
    subject.tracker.stop().expect("stop");
    assert_eq!(subject.memory.hash(), hash);
    let memory = Arc::clone(&subject.memory);
    drop(subject);
    assert_eq!(memory.hash(), hash);
    memory.write_word(0, 0, 99);
    assert_eq!(memory.words(0)[0].load(SeqCst), 99);
}

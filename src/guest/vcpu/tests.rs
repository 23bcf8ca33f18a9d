use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::*;
use crate::guest::write;
use crate::memory::PageRun;
use crate::tracking::{NoTracker, TrackerKind};
use crate::units::{PAGE_SIZE, Size};
use crate::workload::PageWrite;

const PAGES: u64 = 64;
pub(super) const MS: u64 = 1_000_000;

/// A stream that is a list.
pub(super) struct List(pub(super) VecDeque<PageWrite>);

impl PageWrites for List {
    fn skip_to(&mut self, at_ns: u64) {
        while self.0.front().is_some_and(|write| write.at_ns < at_ns) {
            self.0.pop_front();
        }
    }

    fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        out.extend(self.0.drain(..count.min(self.0.len())));
    }
}

/// vCPU `vcpu`'s writes: `count` of them, `group` at a time, `step_ns` between groups.
pub(super) fn writes(vcpu: u64, count: u64, group: u64, step_ns: u64) -> Vec<PageWrite> {
    (0..count)
        .map(|i| PageWrite {
            at_ns: i / group * step_ns,
            page: (i * 7 + vcpu) % PAGES,
            value: vcpu << 32 | i,
        })
        .collect()
}

/// Counts marks, so that a test can wait for work instead of for time.
#[derive(Debug, Default)]
pub(super) struct Counting(AtomicU64);

impl Counting {
    pub(super) fn wait_for(&self, count: u64) {
        while self.0.load(SeqCst) < count {
            std::thread::yield_now();
        }
    }

    pub(super) fn wait_for_more(&self, count: u64) {
        self.wait_for(self.0.load(SeqCst) + count);
    }
}

impl Tracker for Counting {
    fn kind(&self) -> TrackerKind {
        TrackerKind::None
    }
    fn start(&self) -> Result<()> {
        Ok(())
    }
    fn mark(&self, page: u64) {
        assert!(page < PAGES);
        self.0.fetch_add(1, SeqCst);
    }
    fn harvest(&self, _into: &mut Vec<PageRun>) -> Result<u64> {
        Ok(0)
    }
    fn stop(&self) -> Result<()> {
        Ok(())
    }
}

pub(super) struct Guest {
    pub(super) memory: Arc<GuestMemory>,
    pub(super) tracker: Arc<Counting>,
    pub(super) vcpus: Vcpus,
}

pub(super) fn guest_on(
    memory: Arc<GuestMemory>,
    streams: &[Vec<PageWrite>],
    start: &StreamStart,
) -> Guest {
    let tracker = Arc::new(Counting::default());
    let lists = streams.iter().map(|list| List(list.clone().into()));
    let vcpus = Vcpus::spawn(
        Arc::clone(&memory),
        Arc::clone(&tracker) as Arc<dyn Tracker>,
        lists.collect(),
        WriteExtent::Word,
        start,
    );
    Guest {
        memory,
        tracker,
        vcpus: vcpus.unwrap(),
    }
}

pub(super) fn memory() -> Arc<GuestMemory> {
    Arc::new(GuestMemory::new(Size(PAGES * PAGE_SIZE as u64), false).unwrap())
}

pub(super) fn guest(streams: &[Vec<PageWrite>], offset_ns: u64) -> Guest {
    guest_on(memory(), streams, &StreamStart::at(offset_ns))
}

/// Memory after these writes, in any order.
fn expected<'a>(writes: impl IntoIterator<Item = &'a PageWrite>) -> [u8; 32] {
    let memory = memory();
    for write in writes {
        write::execute(&memory, write, WriteExtent::Word);
    }
    memory.hash()
}

pub(super) fn wait_for_stream_time(vcpus: &Vcpus, at_ns: u64) {
    while vcpus.stream_time_ns() < at_ns {
        std::thread::yield_now();
    }
}

#[test]
fn every_write_of_the_streams_is_executed_once() {
    let streams: Vec<_> = (0..3).map(|vcpu| writes(vcpu, 1000, 3, 5_000)).collect();
    let mut guest = guest(&streams, 0);
    guest.vcpus.mark_phase(Phase::During);
    assert_eq!(guest.memory.hash(), expected([]), "nothing runs yet");
    guest.vcpus.start();
    guest.tracker.wait_for(3000);
    assert!(guest.vcpus.cpu_s() > 0.0);
    let report = guest.vcpus.stop();
    assert_eq!(guest.memory.hash(), expected(streams.iter().flatten()));
    assert_eq!(report.phase(Phase::During).writes, 3000);
    assert_eq!(report.latency.len(), 3000);
    assert_eq!(report.asked_writes, 3000);
    assert_eq!(report.pending, 0);
    assert!(report.running_s >= 333.0 * 5e-6, "{}", report.running_s);
}

#[test]
fn no_write_comes_before_its_time() {
    let mut guest = guest(&[writes(0, 5, 1, 2 * MS)], 0);
    guest.vcpus.start();
    for i in 0..5 {
        guest.tracker.wait_for(i + 1);
        assert!(guest.vcpus.stream_time_ns() >= i * 2 * MS);
    }
    let report = guest.vcpus.stop();
    assert_eq!(report.phase(Phase::Before).writes, 5);
}

#[test]
fn a_pause_shows_in_the_latency_of_what_was_due() {
    let mut guest = guest(&[writes(0, 100, 1, MS / 2)], 0);
    guest.vcpus.mark_phase(Phase::During);
    guest.vcpus.start();
    guest.vcpus.pause();
    let paused_at = guest.vcpus.stream_time_ns();
    let done = guest.tracker.0.load(SeqCst);
    wait_for_stream_time(&guest.vcpus, paused_at + 30 * MS);
    assert_eq!(guest.tracker.0.load(SeqCst), done, "wrote while paused");
    guest.vcpus.resume();
    guest.tracker.wait_for(100);
    let report = guest.vcpus.stop();
    let latency = &report.latency;
    assert_eq!(latency.len(), 100);
    assert!(latency.max() >= 29 * MS, "{}", latency.max());
    // One write each half millisecond of the stall: 20 of them waited at least 20 ms, less one.
    let late = latency.count_between(19 * MS, u64::MAX);
    assert!(late >= 19, "{late}");
    assert_eq!(guest.memory.hash(), expected(&writes(0, 100, 1, MS / 2)));
}

#[test]
fn pauses_and_resumes_lose_no_write() {
    let streams: Vec<_> = (0..2).map(|vcpu| writes(vcpu, 20_000, 1, 1_000)).collect();
    let mut guest = guest(&streams, 0);
    guest.vcpus.start();
    for pause in 1..=200 {
        guest.vcpus.pause();
        let hash = guest.memory.hash();
        let count = guest.tracker.0.load(SeqCst);
        let positions = guest.vcpus.positions();
        let before = streams
            .iter()
            .zip(&positions)
            .flat_map(|(stream, position)| stream.iter().take_while(|w| w.at_ns < position.at_ns));
        assert_eq!(hash, expected(before.clone()), "pause {pause}");
        assert_eq!(count, before.count() as u64);
        guest.vcpus.resume();
        guest.tracker.wait_for((pause * 100).min(40_000));
    }
    guest.tracker.wait_for(40_000);
    guest.vcpus.stop();
    assert_eq!(guest.memory.hash(), expected(streams.iter().flatten()));
}

#[test]
fn the_destination_goes_on_with_exactly_the_pending_writes() {
    // Groups of 5 at the same time, so that a pause can fall inside a group.
    let streams: Vec<_> = (0..2).map(|vcpu| writes(vcpu, 10_000, 5, 20_000)).collect();
    let mut source = guest(&streams, 0);
    source.vcpus.mark_phase(Phase::During);
    source.vcpus.start();
    source.tracker.wait_for(1000);
    source.vcpus.pause();
    let paused_at = source.vcpus.stream_time_ns();
    let positions = source.vcpus.positions();
    wait_for_stream_time(&source.vcpus, paused_at + 5 * MS);
    assert_eq!(source.vcpus.positions(), positions);
    let report = source.vcpus.finish(Instant::now());
    assert!(report.stream_time_ns >= paused_at + 5 * MS);
    let here = report.phase(Phase::During);
    assert_eq!(here.writes, source.tracker.0.load(SeqCst));
    assert!(report.pending >= 2 * 5 * 248, "{}", report.pending);
    assert_eq!(report.latency.len(), here.writes + report.pending);
    assert!(report.latency.max() >= 5 * MS - 20_000);
    // What was due before the pause was asked for; the stall was not.
    assert!(report.asked_writes >= here.writes);
    assert!(report.asked_writes < here.writes + report.pending);

    let start = StreamStart::resumed(positions);
    let mut destination = guest_on(Arc::clone(&source.memory), &streams, &start);
    destination.vcpus.mark_phase(Phase::After);
    let switchover = report.stream_time_ns;
    destination
        .vcpus
        .set_window(Window::After, switchover, u64::MAX);
    destination.vcpus.start_at(switchover);
    destination.tracker.wait_for(20_000 - here.writes);
    let report_there = destination.vcpus.stop();
    let there = report_there.phase(Phase::After);
    assert_eq!(there.writes, 20_000 - here.writes);
    let recorded = report_there.window(Window::After).len();
    assert_eq!(recorded, there.writes - report.pending);
    assert_eq!(
        destination.memory.hash(),
        expected(streams.iter().flatten())
    );
}

#[test]
fn a_start_offset_skips_what_came_before() {
    let all = writes(0, 100, 1, 10_000);
    let mut guest = guest(std::slice::from_ref(&all), 500_000);
    assert_eq!(guest.vcpus.stream_time_ns(), 500_000);
    guest.vcpus.start();
    guest.tracker.wait_for(50);
    assert!(guest.vcpus.stream_time_ns() >= 990_000);
    let report = guest.vcpus.stop();
    assert_eq!(report.phase(Phase::Before).writes, 50);
    assert_eq!(guest.memory.hash(), expected(&all[50..]));
}

#[test]
fn phases_divide_the_writes() {
    let stream = writes(0, 30, 1, MS);
    let mut guest = guest(&[stream], 0);
    guest.vcpus.start();
    guest.tracker.wait_for(5);
    guest.vcpus.mark_phase(Phase::During);
    guest.tracker.wait_for(15);
    guest.vcpus.mark_phase(Phase::After);
    guest.tracker.wait_for(30);
    let report = guest.vcpus.stop();
    let [before, during, after] = report.phases.each_ref().map(|phase| phase.writes);
    assert!(before >= 5 && before + during >= 15 && before + during + after == 30);
    assert_eq!(report.latency.len(), during);
    // A write on the border may be asked for in one phase and executed in the next.
    assert!(report.asked_writes.abs_diff(during) <= 2);
    assert!(report.running_s > 0.0);
}

#[test]
fn an_idle_guest_waits_and_answers() {
    let mut guest = guest(&[Vec::new(), Vec::new()], 0);
    guest.vcpus.start();
    guest.vcpus.pause();
    let nowhere = StreamPosition {
        at_ns: u64::MAX,
        after: 0,
    };
    assert_eq!(guest.vcpus.positions(), [nowhere; 2]);
    guest.vcpus.resume();
    let report = guest.vcpus.stop();
    assert_eq!(report.phase(Phase::Before).writes, 0);
    assert_eq!(report.pending, 0);
}

#[test]
fn a_sleeping_vcpu_answers_a_pause_at_once() {
    // The next write is an hour away; the test would not end if the pause waited for it.
    let far = PageWrite {
        at_ns: 3_600_000 * MS,
        page: 0,
        value: 0,
    };
    let mut guest = guest(&[vec![far]], 0);
    guest.vcpus.start();
    for _ in 0..20 {
        guest.vcpus.pause();
        guest.vcpus.resume();
    }
    drop(guest.vcpus);
    assert!(guest.memory.is_zero(0));
}

#[test]
fn vcpus_that_never_started_end() {
    let guest = guest(&[writes(0, 10, 1, 0)], 0);
    let report = guest.vcpus.stop();
    assert_eq!(report.phase(Phase::Before).writes, 0);
    assert!(guest.memory.is_zero(0));
}

#[test]
fn a_vcpu_that_panics_does_not_hang_its_guest() {
    let outside = PageWrite {
        at_ns: 0,
        page: PAGES,
        value: 0,
    };
    let mut guest = guest(&[vec![outside]], 0);
    guest.vcpus.start();
    while !guest.vcpus.threads[0].is_finished() {
        std::thread::yield_now();
    }
    guest.vcpus.pause();
    let vcpus = guest.vcpus;
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| vcpus.stop()));
    assert!(ended.is_err());
}

#[test]
fn positions_of_another_guest_are_refused() {
    let start = StreamStart::resumed(Vec::new());
    let lists = vec![List(VecDeque::new())];
    let tracker = Arc::new(NoTracker);
    let refused = Vcpus::spawn(memory(), tracker, lists, WriteExtent::Page, &start);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .starts_with("positions = 0")
    );
}

//! The pre-copy loop at the source, the same under both clocks.

use std::sync::Arc;
use std::time::Instant;

use crate::machine::clock::process_cpu_ns;
use crate::memory::{PageRun, normalize};
use crate::precopy::{
    Decision, FixedCost, Limits, Progress, StopReason, Throttle, Throttling, decide,
};
use crate::results::{Downtime, DowntimeParts, Round, RoundKind};
use crate::source::order::Failed;
use crate::source::stream_thread::timed;
use crate::source::streams::{RoundDone, Streams};
use crate::source::timeline::Timeline;
use crate::source::tracked_guest::TrackedGuest;
use crate::units::PAGE_SIZE;

/// How pre-copy went, however it ended.
#[derive(Debug)]
pub struct Migrated {
    /// Switched over, given up or broken.
    pub end: End,
    /// The clock at the end, nanoseconds.
    pub total_ns: u64,
    /// The downtime by part; zero unless the guest was switched over.
    pub downtime: Downtime,
    /// What each round sent, in order.
    pub rounds: Vec<Round>,
    /// Bytes of device state sent.
    pub device_state_bytes: u64,
    /// CPU time of the driver's own thread for harvests, seconds.
    pub harvest_s: f64,
    /// CPU time of the guest's threads, seconds.
    pub vcpu_s: f64,
    /// CPU time of the process from the first harvest to the end, without the guest's and the disk's, seconds.
    pub total_cpu_s: f64,
}

/// How pre-copy ended.
#[derive(Debug)]
pub enum End {
    /// The destination took over.
    SwitchedOver(StopReason),
    /// A limit struck; the guest runs on here.
    GivenUp(StopReason),
    /// A stream or the tracker broke.
    Broken {
        /// What broke, in one line.
        reason: String,
        /// Whether the destination may have switched over.
        final_sent: bool,
    },
}

/// Migrates: the disk in bulk, pre-copy rounds, then stop-and-copy or giving up. `device_state` is asked for when
/// the vCPUs are paused.
pub struct Driver<'a> {
    guest: &'a TrackedGuest,
    streams: &'a mut Streams,
    timeline: &'a mut dyn Timeline,
    limits: Limits,
    throttling: Option<Throttling>,
    /// The least that a round left dirty, pages, and when, nanoseconds.
    least_dirty: Option<(u64, u64)>,
    rounds: Vec<Round>,
    downtime: Downtime,
    harvest_cpu_ns: u64,
    /// What a pause would be made of beside sending, as far as it is known by now.
    fixed: FixedCost,
    /// The clock when the last harvest began.
    harvested_ns: u64,
    device_state_bytes: u64,
    /// Of it, what was sent, bytes.
    device_state_sent: u64,
    /// Whether page content is compressed.
    compresses: bool,
    /// Bytes that page content took so far, and its own.
    content: (u64, u64),
}

impl From<Failed> for End {
    fn from(failed: Failed) -> Self {
        End::Broken {
            reason: failed.error.to_string(),
            final_sent: failed.final_sent,
        }
    }
}

impl From<crate::error::Error> for End {
    fn from(error: crate::error::Error) -> Self {
        End::Broken {
            reason: error.to_string(),
            final_sent: false,
        }
    }
}

impl<'a> Driver<'a> {
    /// A driver over opened streams, which may compress, for a guest with so many bytes of device state.
    pub fn new(
        guest: &'a TrackedGuest,
        streams: &'a mut Streams,
        timeline: &'a mut dyn Timeline,
        limits: Limits,
        throttle: Option<Throttle>,
        device_state_bytes: u64,
        compresses: bool,
    ) -> Self {
        Driver {
            guest,
            streams,
            timeline,
            limits,
            throttling: throttle.map(Throttling::new),
            least_dirty: None,
            rounds: Vec::new(),
            downtime: Downtime::default(),
            harvest_cpu_ns: 0,
            fixed: FixedCost::default(),
            harvested_ns: 0,
            device_state_bytes,
            device_state_sent: 0,
            compresses,
            content: (0, 0),
        }
    }

    /// Runs the migration to its end.
    pub fn run(mut self, device_state: impl FnOnce(&dyn Timeline) -> Arc<Vec<u8>>) -> Migrated {
        self.timeline.copy();
        let copied = self.streams.copy_disk();
        // Looking at the vCPUs' counters is no part of the migration.
        self.timeline.begin();
        let cpu_began = self.cpu_ns();
        let migrated = copied
            .map_err(End::from)
            .and_then(|()| self.migrate(device_state));
        let (end, at) = migrated.unwrap_or_else(|broken| (broken, Instant::now()));
        let process_cpu_s = self.cpu_ns().saturating_sub(cpu_began) as f64 / 1e9;
        let switched_over = matches!(end, End::SwitchedOver(_)).then_some(at);
        let vcpu_s = self.timeline.ended(switched_over);
        Migrated {
            end,
            total_ns: self.timeline.instant_ns(at),
            downtime: self.downtime,
            rounds: self.rounds,
            device_state_bytes: self.device_state_sent,
            harvest_s: self.harvest_cpu_ns as f64 / 1e9,
            vcpu_s,
            total_cpu_s: (process_cpu_s - vcpu_s).max(0.0),
        }
    }

    /// CPU time of the process without the disk's stream, nanoseconds.
    fn cpu_ns(&self) -> u64 {
        let of_disk = self
            .streams
            .mirror()
            .map_or(0, |mirror| mirror.sent().cpu_ns);
        process_cpu_ns().saturating_sub(of_disk)
    }

    fn migrate(
        &mut self,
        device_state: impl FnOnce(&dyn Timeline) -> Arc<Vec<u8>>,
    ) -> Result<(End, Instant), End> {
        let everything = PageRun {
            first: 0,
            pages: self.guest.memory.pages(),
        };
        let mut started_ns = self.timeline.now_ns();
        let (cpu_ns, tracked) = timed(|| self.guest.tracker.start());
        self.harvest_cpu_ns += cpu_ns;
        tracked?;
        let mut runs = Arc::new(vec![everything]);
        let reason = loop {
            let round = self.rounds.len() as u32;
            let ended_ns = self.send(round, RoundKind::PreCopy, started_ns, &runs)?;
            started_ns = ended_ns;
            // The stream threads have let go of the round's list, or it is replaced.
            let over_ns = self.timeline.now_ns().saturating_sub(self.harvested_ns);
            self.harvested_ns += over_ns;
            let dirty = self.harvest(Arc::make_mut(&mut runs))?;
            let now_ns = self.timeline.now_ns();
            self.fixed.harvest_ns = now_ns.saturating_sub(self.harvested_ns);
            let sending_ns = |content| {
                let bytes = self.as_sent(content) + self.device_state_bytes;
                self.timeline.sending_ns(bytes)
            };
            let expected_ns = (self.fixed).expected_downtime_ns(dirty, over_ns, sending_ns);
            let limit_ns = self.limits.downtime_ns_after(round + 1, now_ns);
            let mut sent_bytes = 0;
            if let Some(done) = self.rounds.last_mut() {
                sent_bytes = done.payload_bytes;
                done.pages_dirtied = Some(dirty);
                done.downtime_limit_s = self.limits.growth.map(|_| limit_ns as f64 / 1e9);
                done.expected_downtime_s =
                    (expected_ns < u64::MAX).then_some(expected_ns as f64 / 1e9);
            }
            let progress = Progress {
                rounds: round + 1,
                elapsed_ns: now_ns,
                since_progress_ns: now_ns - self.progressed_ns(dirty, now_ns),
                expected_downtime_ns: expected_ns,
            };
            match decide(progress, self.limits) {
                Decision::Continue => self.throttle(now_ns, dirty, sent_bytes),
                Decision::StopAndCopy(reason) => break reason,
                Decision::Abort(reason) => {
                    let at = self.streams.abort(round)?;
                    return Ok((End::GivenUp(reason), at));
                }
            }
        };
        let pause_ns = self.timeline.now_ns();
        self.timeline.pause();
        let paused_ns = self.timeline.now_ns();
        let mut late = Vec::new();
        self.harvest(&mut late)?;
        let rest = Arc::make_mut(&mut runs);
        rest.append(&mut late);
        normalize(rest);
        let harvested_ns = self.timeline.now_ns();
        let round = self.rounds.len() as u32;
        let sent_ns = self.send(round, RoundKind::StopAndCopy, started_ns, &runs)?;
        let state = device_state(self.timeline);
        let before = self.streams.wire_bytes();
        let switched_over = self.streams.switch_over(round, state);
        // Records of the final round surround it on the wire, so that a part of it is told to within
        // their framing.
        let wire_bytes = self.streams.wire_bytes() - before;
        self.device_state_sent = self.device_state_bytes.min(wire_bytes);
        let at = switched_over?;
        let end_ns = self.timeline.instant_ns(at);
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
        self.downtime = Downtime {
            total_s: seconds(pause_ns, end_ns),
            parts: Some(DowntimeParts {
                pause_s: seconds(pause_ns, paused_ns),
                harvest_s: seconds(paused_ns, harvested_ns),
                transfer_s: seconds(harvested_ns, sent_ns),
                switchover_s: seconds(sent_ns, end_ns),
            }),
        };
        Ok((End::SwitchedOver(reason), at))
    }

    /// What so much page content takes when it is sent, by what all of it so far took.
    fn as_sent(&self, bytes: u64) -> u64 {
        match self.content {
            (_, 0) => bytes,
            (sent, of) => (u128::from(bytes) * u128::from(sent) / u128::from(of)) as u64,
        }
    }

    /// When a round last left less dirty than every one before, nanoseconds.
    fn progressed_ns(&mut self, dirty: u64, now_ns: u64) -> u64 {
        self.least_dirty.take_if(|(least, _)| dirty < *least);
        let (_, at_ns) = *self.least_dirty.get_or_insert((dirty, now_ns));
        at_ns
    }

    /// Slows the guest down if the rule asks for it.
    fn throttle(&mut self, now_ns: u64, dirty: u64, sent_bytes: u64) {
        if let Some(throttling) = &mut self.throttling
            && let Some(cycle) =
                throttling.after_round(now_ns, dirty * PAGE_SIZE as u64, sent_bytes)
        {
            self.timeline.throttle(Some(cycle));
        }
    }

    fn harvest(&mut self, into: &mut Vec<PageRun>) -> Result<u64, End> {
        into.clear();
        let (cpu_ns, pages) = timed(|| self.guest.tracker.harvest(into));
        self.harvest_cpu_ns += cpu_ns;
        Ok(pages?)
    }

    /// Sends a round; the clock at its last acknowledgement.
    fn send(
        &mut self,
        round: u32,
        kind: RoundKind,
        started_ns: u64,
        runs: &Arc<Vec<PageRun>>,
    ) -> Result<u64, End> {
        let send_ns = self.timeline.now_ns();
        let RoundDone {
            totals,
            content_bytes,
            wire_bytes,
            taken,
            sent,
            at,
        } = self.streams.round(round, runs)?;
        // All on the timeline's clock: under the virtual one nothing but sending takes time.
        let round_ns = self.timeline.now_ns().saturating_sub(send_ns);
        let [taken_ns, sent_ns, at_ns] = [taken, sent, at].map(|at| self.timeline.instant_ns(at));
        let hand_over_ns = round_ns.saturating_sub(at_ns.saturating_sub(taken_ns));
        let acknowledgement_ns = at_ns.saturating_sub(sent_ns);
        self.fixed.observe(hand_over_ns, acknowledgement_ns);
        let payload_bytes = totals.pages * PAGE_SIZE as u64;
        // What is expected apart from sending is no part of it here either: else rounds that hold next
        // to nothing, of which an idle guest has many, would pass for a slow link.
        let shortest_ns = self.fixed.acknowledgement_ns.unwrap_or(0);
        let sending_ns = (at_ns.saturating_sub(taken_ns)).saturating_sub(shortest_ns);
        self.timeline.sent(content_bytes, wire_bytes, sending_ns);
        self.content.0 += content_bytes;
        self.content.1 += payload_bytes;
        let ended_ns = self.timeline.instant_ns(at);
        self.rounds.push(Round {
            kind,
            started_s: started_ns as f64 / 1e9,
            duration_s: ended_ns.saturating_sub(started_ns) as f64 / 1e9,
            pages_sent: totals.pages,
            zero_pages: totals.zero_pages,
            payload_bytes,
            compressed_bytes: self.compresses.then_some(content_bytes),
            bytes_on_wire: wire_bytes,
            pages_dirtied: Some(0),
            expected_downtime_s: None,
            downtime_limit_s: None,
            throttle_share: match kind {
                RoundKind::PreCopy => self.throttling.as_ref().map(Throttling::share),
                RoundKind::StopAndCopy => None,
            },
        });
        Ok(ended_ns)
    }
}

//! Seal workers: what one stream has on the pool, which compresses as well.

use crate::machine::clock::thread_cpu_ns;
use crate::record::{Draft, DraftPacker, DraftSealer, Framing, RecordError};

/// A stream's sealers, one a worker of the pool that all streams share.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    packer: DraftPacker,
    sealer: DraftSealer,
    /// CPU nanoseconds of the last share, if it was timed.
    outcome: Result<Option<u64>, RecordError>,
}

impl Workers {
    /// Sealers for `count` workers.
    ///
    /// # Errors
    /// If the cipher can't be set up.
    pub(super) fn new(framing: &Framing, count: usize) -> Result<Workers, RecordError> {
        let worker = |_| {
            Ok(Worker {
                packer: DraftPacker::new(framing)?,
                sealer: DraftSealer::new(framing)?,
                outcome: Ok(None),
            })
        };
        (0..count)
            .map(worker)
            .collect::<Result<_, _>>()
            .map(Workers)
    }

    /// Seals the drafts on the pool, an equal share each worker, and does something meanwhile on
    /// this thread; `timed` has the workers read their clocks. Where there is nothing to seal
    /// (`plain`) no worker is woken.
    pub(super) fn seal_while<T>(
        &mut self,
        pool: &rayon::ThreadPool,
        drafts: &mut [Draft],
        timed: bool,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        let seal = |worker: &mut Worker, drafts: &mut [Draft]| {
            worker.work(drafts, timed, |worker, draft| worker.sealer.seal(draft));
        };
        self.share_while(
            pool,
            drafts,
            |worker| worker.sealer.seals(),
            seal,
            meanwhile,
        )
    }

    /// As [`Workers::seal_while`], for compressing.
    pub(super) fn pack_while<T>(
        &mut self,
        pool: &rayon::ThreadPool,
        drafts: &mut [Draft],
        timed: bool,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        let pack = |worker: &mut Worker, drafts: &mut [Draft]| {
            worker.work(drafts, timed, |worker, draft| worker.packer.pack(draft));
        };
        self.share_while(
            pool,
            drafts,
            |worker| worker.packer.packs(),
            pack,
            meanwhile,
        )
    }

    /// Has each worker do something to its share of the drafts, if it has anything to do.
    fn share_while<T>(
        &mut self,
        pool: &rayon::ThreadPool,
        drafts: &mut [Draft],
        works: fn(&Worker) -> bool,
        work: impl Fn(&mut Worker, &mut [Draft]) + Sync,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        let share = drafts.len().div_ceil(self.0.len()).max(1);
        let (work, mut done) = (&work, None);
        pool.in_place_scope(|scope| {
            for (worker, drafts) in self.0.iter_mut().zip(drafts.chunks_mut(share)) {
                if works(worker) {
                    scope.spawn(move |_| work(worker, drafts));
                }
            }
            done = Some(meanwhile());
        });
        done.expect("the scope has ended")
    }

    /// How the last drafts went: the CPU nanoseconds of each worker that was timed.
    ///
    /// # Errors
    /// Why the cipher refused.
    pub(super) fn take_times(&mut self) -> Result<Vec<u64>, RecordError> {
        let outcomes = self
            .0
            .iter_mut()
            .map(|w| std::mem::replace(&mut w.outcome, Ok(None)));
        outcomes.filter_map(Result::transpose).collect()
    }
}

impl Worker {
    fn work(
        &mut self,
        drafts: &mut [Draft],
        timed: bool,
        mut one: impl FnMut(&mut Worker, &mut Draft) -> Result<(), RecordError>,
    ) {
        let start = timed.then(thread_cpu_ns);
        let done = drafts.iter_mut().try_for_each(|draft| one(self, draft));
        self.outcome = done.map(|()| start.map(|start| thread_cpu_ns() - start));
    }
}

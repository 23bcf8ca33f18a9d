//! Seal workers: what one stream has on the pool.

use crate::machine::clock::thread_cpu_ns;
use crate::record::{Draft, DraftSealer, Framing, RecordError};

/// A stream's sealers, one a worker of the pool that all streams share.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
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
        let share = drafts.len().div_ceil(self.0.len()).max(1);
        let mut done = None;
        pool.in_place_scope(|scope| {
            for (worker, drafts) in self.0.iter_mut().zip(drafts.chunks_mut(share)) {
                if worker.sealer.seals() {
                    scope.spawn(move |_| worker.seal(drafts, timed));
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
    fn seal(&mut self, drafts: &mut [Draft], timed: bool) {
        let start = timed.then(thread_cpu_ns);
        let sealed = drafts
            .iter_mut()
            .try_for_each(|draft| self.sealer.seal(draft));
        self.outcome = sealed.map(|()| start.map(|start| thread_cpu_ns() - start));
    }
}

//! What writes in the guest during a migration, and how it is accounted for.

use std::time::Instant;

use super::guest::layout::Layout;
use super::guest::running::{Feeder, GuestClock, Lateness, Ring};
use super::memory::ProcessMemory;
use super::plan::{Plan, Stop, Told, stream};
use crate::host::latency::latency;
use crate::units::PAGE_SIZE;

/// What writes in the guest, and how it is accounted for.
pub(super) struct Writer {
    feeder: Option<Feeder>,
    ring: Option<Ring>,
    clock: GuestClock,
    begins: Instant,
    lateness: Lateness,
    migration_began: Instant,
}

impl Writer {
    pub(super) fn start(
        plan: &Plan<'_>,
        layout: Layout,
        memory: &ProcessMemory,
    ) -> Result<Writer, Stop> {
        let clock = GuestClock::of(memory)?;
        let begins = Instant::now();
        let ring = Ring::new(
            stream(plan)?,
            plan.scenario.workload.write,
            layout,
            clock,
            (plan.start_offset_ns, begins),
        );
        Ok(Writer {
            feeder: Some(Feeder::start(ring, *memory)),
            ring: None,
            clock,
            begins,
            lateness: Lateness::of(memory)?,
            migration_began: begins,
        })
    }

    /// The migration begins now.
    pub(super) fn begin(&mut self, memory: &ProcessMemory) -> Result<(), Stop> {
        self.lateness = Lateness::of(memory)?;
        self.migration_began = Instant::now();
        Ok(())
    }

    /// The guest's writes from the migration's start to the source's stop, or to its end.
    pub(super) fn account(
        &mut self,
        plan: &Plan<'_>,
        memory: &ProcessMemory,
        writes: u64,
        told: &mut Told,
    ) -> Result<(), Stop> {
        self.ring = self.feeder.take().map(Feeder::stop).transpose()?;
        let began = (self.migration_began - self.begins).as_nanos() as u64 + plan.start_offset_ns;
        let asked = |seconds: f64| -> crate::error::Result<u64> {
            let mut stream = stream(plan)?;
            stream.skip_to(began);
            let until = began + (seconds * 1e9) as u64;
            Ok(std::iter::from_fn(|| stream.next_until(until)).count() as u64)
        };
        let ran_s = (told.total_time_s - told.downtime_s).max(0.0);
        let (asked_running, asked_all) = (asked(ran_s)?, asked(told.total_time_s)?);
        let per = |count: u64, of: f64| if of > 0.0 { count as f64 / of } else { 0.0 };
        told.guest.writes = writes;
        told.guest.schedule_kept = match asked_running {
            0 => 1.0,
            asked => per(writes, asked as f64),
        };
        told.guest.achieved_rate = per(writes * PAGE_SIZE as u64, ran_s);
        told.guest.asked_rate = per(asked_running * PAGE_SIZE as u64, ran_s);
        told.guest.progress = (asked_all > 0).then(|| per(writes, asked_all as f64));
        let late = Lateness::of(memory)?.since(&self.lateness, &self.clock);
        told.qemu.lateness_ns = Some(latency(&late));
        Ok(())
    }

    pub(super) fn move_to(&mut self, memory: &ProcessMemory) -> Result<(), Stop> {
        if let Some(mut ring) = self.ring.take() {
            ring.move_to(memory)?;
            self.feeder = Some(Feeder::start(ring, *memory));
        }
        Ok(())
    }

    pub(super) fn stop(self) -> Result<(), Stop> {
        if let Some(feeder) = self.feeder {
            feeder.stop()?;
        }
        Ok(())
    }
}

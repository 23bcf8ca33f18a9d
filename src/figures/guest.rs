//! Figures of the guest: what a migration cost it.

use super::rates::over;
use crate::results::{Migration, VcpuWork};

/// CPU time of the vCPU threads per write, seconds; `None` if they made none.
pub fn cpu_per_write(work: &VcpuWork) -> Option<f64> {
    over(work.cpu_s, work.writes as f64)
}

/// CPU time per write during the migration, seconds.
pub(super) fn cpu_per_write_during(m: &Migration) -> Option<f64> {
    cpu_per_write(&m.guest.work_during?)
}

/// Page faults of the vCPUs during the migration beyond those that so many writes took before it.
/// Guest memory is faulted in beforehand: what is more comes from write protection.
pub fn protection_faults(m: &Migration) -> Option<f64> {
    let (before, during) = (m.guest.work_before?, m.guest.work_during?);
    let usual = over(before.minor_faults as f64, before.writes as f64)?;
    let faults = during.minor_faults as f64 - usual * during.writes as f64;
    Some(faults.max(0.0).round())
}

/// Time from the begin of a write to its end, seconds; `None` if none was timed.
pub fn write_time(work: &VcpuWork) -> Option<f64> {
    over(work.timed_s, work.timed_writes as f64)
}

/// What writes took longer during the migration than before it, from begin to end, over the
/// write-protection faults, seconds. Where noise outweighs the faults it is below 0, and is shown so:
/// medians over migrations would else be too high. `None` without faults.
pub fn time_per_fault(m: &Migration) -> Option<f64> {
    let (before, during) = (m.guest.work_before?, m.guest.work_during?);
    let longer_s = write_time(&during)? - write_time(&before)?;
    over(longer_s * during.writes as f64, protection_faults(m)?)
}

/// The share of its page writes that a guest lost by being slowed down, of those that fell due while it ran at
/// the source; `None` where it was not slowed down.
pub fn writes_lost(m: &Migration) -> Option<f64> {
    let lost = m.guest.throttled?.writes_lost;
    over(lost as f64, (m.guest.writes + lost) as f64)
}

/// From the pause request to the guest's first write at the destination, seconds: the downtime and
/// what the first write took from the order to run. An upper bound: the acknowledgement's way back to
/// the source is in it.
pub(super) fn blackout(m: &Migration) -> Option<f64> {
    Some(m.downtime.total_s + m.guest.first_write_s?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, results};

    fn migration() -> Migration {
        let mut m = results(&Simulation::default()).migrations.remove(0);
        // 2 us a write before, a quarter of it in the write itself; 1000 faults at 3 us, and a fault in
        // ten writes that was there before.
        m.guest.work_before = Some(VcpuWork {
            writes: 1_000,
            timed_writes: 900,
            timed_s: 900.0 * 0.5e-6,
            cpu_s: 0.002,
            minor_faults: 100,
        });
        m.guest.work_during = Some(VcpuWork {
            writes: 10_000,
            timed_writes: 10_000,
            timed_s: 0.005 + 0.003,
            cpu_s: 0.020 + 0.003,
            minor_faults: 2_000,
        });
        m
    }

    #[test]
    fn a_fault_costs_what_writes_cost_more_than_before() {
        let m = migration();
        assert_eq!(protection_faults(&m), Some(1_000.0));
        assert!((time_per_fault(&m).unwrap() - 3e-6).abs() < 1e-15);
        assert!((cpu_per_write_during(&m).unwrap() - 2.3e-6).abs() < 1e-15);
    }

    #[test]
    fn noise_may_take_a_faults_cost_below_zero_and_no_faults_have_none() {
        let mut m = migration();
        m.guest.work_during.as_mut().unwrap().timed_s = 0.004;
        assert!(time_per_fault(&m).unwrap() < 0.0);
        m.guest.work_during.as_mut().unwrap().minor_faults = 900;
        assert_eq!(protection_faults(&m), Some(0.0));
        assert_eq!(time_per_fault(&m), None);
        m.guest.work_before = None;
        assert_eq!(protection_faults(&m), None);
    }

    #[test]
    fn the_blackout_goes_on_after_the_downtime() {
        let mut m = migration();
        m.downtime.total_s = 0.3;
        m.guest.first_write_s = Some(0.2);
        assert_eq!(blackout(&m), Some(0.5));
        m.guest.first_write_s = None;
        assert_eq!(blackout(&m), None);
    }
}

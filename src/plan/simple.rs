//! Two simpler models, for comparison.

use super::calibration::Calibration;
use super::costs::Costs;
use super::hosts::{Busy, Hosts};
use crate::arm::Arm;
use crate::scenario::Scenario;
use crate::units::{Bandwidth, PAGE_SIZE};

/// What a simpler model says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simple {
    /// Whether what is left fits the downtime limit at some point.
    pub converges: bool,
    /// From the first byte to the last, seconds; until it is given up if it does not.
    pub total_time_s: f64,
}

/// The geometric model (Liu et al., HPDC 2011): with r the dirty rate over the bandwidth, round i carries
/// V0 r^i, until that fits the downtime limit. The bandwidth is what the arm's costs and the link allow. Pages that
/// are written twice are sent twice, however few the guest writes to.
pub fn geometric(
    calibration: &Calibration,
    arm: Arm,
    scenario: &Scenario,
    hosts: Hosts,
) -> Option<Simple> {
    let costs: &Costs = &calibration.arm(arm)?.draws.first()?.costs;
    let memory = scenario.guest.memory.0 as f64;
    let pages = memory / PAGE_SIZE as f64;
    let content = memory * (1.0 - scenario.guest.content.zero);
    let busy = Busy {
        source_s: costs.source_s(pages, 0.0) * costs.source_beside,
        destination_s: costs.destination_s(pages) * costs.destination_beside,
        ..Busy::default()
    };
    let (cores_s, _) = hosts.time_s(&scenario.migration, &busy, 0.0, costs.kept_busy);
    let link_s = match scenario.migration.link {
        Bandwidth::Unlimited => 0.0,
        Bandwidth::BitsPerSecond(bits) => memory * 8.0 / bits as f64,
    };
    let bandwidth = memory / cores_s.max(link_s);
    let ratio = scenario.workload.rate.0 as f64 / bandwidth;
    let limit_s = scenario.migration.downtime_limit.as_secs_f64();
    let most_s = scenario.migration.time_limit.as_secs_f64();
    let (mut total_s, mut volume) = (0.0, content);
    for _ in 0..scenario.migration.max_rounds {
        total_s += volume / bandwidth;
        volume *= ratio;
        if volume / bandwidth <= limit_s {
            return Some(Simple {
                converges: true,
                total_time_s: total_s + volume / bandwidth,
            });
        }
        if total_s > most_s {
            break;
        }
    }
    Some(Simple {
        converges: false,
        total_time_s: total_s,
    })
}

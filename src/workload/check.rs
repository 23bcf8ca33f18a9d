//! What the parameters of arrival and placement may be.

use super::{Arrival, MAX_VCPU_RATE, Placement};
use crate::error::{Error, Result};
use crate::scenario::Scenario;
use crate::units::{PAGE_SIZE, Span};

/// Refuses `value` unless `fine`.
fn require(
    fine: bool,
    field: impl std::fmt::Display,
    value: impl std::fmt::Display,
    allowed: impl std::fmt::Display,
) -> Result<()> {
    if fine {
        Ok(())
    } else {
        Err(Error::invalid(field, value, allowed))
    }
}

/// Refuses an arrival that can't be, and a rate that does not fit it.
pub(super) fn arrival(scenario: &Scenario) -> Result<()> {
    let field = |name: &str| format!("workload.arrival.{name}");
    let mut peak_to_mean = 1.0;
    match &scenario.workload.arrival {
        Arrival::Constant {} | Arrival::Poisson {} => {}
        Arrival::OnOff { duty, period, .. } => {
            require(
                *duty > 0.0 && *duty <= 1.0,
                field("duty"),
                duty,
                "a share above 0, up to 1",
            )?;
            check_period(field("period"), *period)?;
            peak_to_mean = 1.0 / duty;
        }
    }
    let rate = scenario.workload.rate;
    let most = MAX_VCPU_RATE * f64::from(scenario.guest.vcpus) / peak_to_mean;
    require(
        rate.0 as f64 / PAGE_SIZE as f64 <= most,
        "workload.rate",
        rate,
        format_args!(
            "at most {:.0}MiB/s fits: one page write per nanosecond and vCPU in a burst of {peak_to_mean} times the mean",
            (most * PAGE_SIZE as f64 / f64::from(1 << 20)).floor()
        ),
    )
}

fn check_period(field: String, period: Span) -> Result<()> {
    require(
        (1_000..=86_400_000_000_000).contains(&period.as_nanos()),
        field,
        period,
        "a duration from 1us to 24h",
    )
}

/// Refuses a placement that can't be; `field` is its dotted name.
pub(super) fn placement(placement: &Placement, field: &str) -> Result<()> {
    let name = |name: &str| format!("{field}.{name}");
    match placement {
        Placement::Uniform { working_set } => positive_share(name("working_set"), *working_set),
        Placement::Zipf {
            exponent,
            working_set,
        } => {
            require(
                *exponent > 0.0 && *exponent <= 10.0,
                name("exponent"),
                exponent,
                "above 0, up to 10",
            )?;
            positive_share(name("working_set"), *working_set)
        }
    }
}

fn positive_share(field: String, share: f64) -> Result<()> {
    require(
        share > 0.0 && share <= 1.0,
        field,
        share,
        "a share of guest memory above 0, up to 1",
    )
}

//! What the parameters of arrival and placement may be.

use super::trace::Trace;
use super::{MAX_VCPU_RATE, Part, Placement, Shape};
use crate::error::{Error, Result};
use crate::scenario::Scenario;
use crate::units::{PAGE_SIZE, Span};

/// Refuses parameters of arrival and placement that can't be.
pub(crate) fn check(scenario: &Scenario) -> Result<()> {
    let shape = Shape::of(scenario)?;
    let rate = scenario.workload.rate;
    let peak_to_mean = shape.peak_to_mean();
    let most = MAX_VCPU_RATE * f64::from(scenario.guest.vcpus) / peak_to_mean;
    require(
        rate.0 as f64 / PAGE_SIZE as f64 <= most,
        "workload.rate",
        rate,
        format_args!(
            "at most {:.0}MiB/s fits: one page write per nanosecond and vCPU in a burst of {peak_to_mean} times the mean",
            (most * PAGE_SIZE as f64 / f64::from(1 << 20)).floor()
        ),
    )?;
    placement(scenario)
}

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

fn placement(scenario: &Scenario) -> Result<()> {
    const FIELD: &str = "workload.placement";
    match &scenario.workload.placement {
        Placement::Trace { file, scale_pages } => check_trace(scenario, file, *scale_pages),
        Placement::Mixture { parts } => check_parts(parts, FIELD),
        other => check_plain(other, FIELD),
    }
}

fn check_trace(scenario: &Scenario, file: &str, scale_pages: bool) -> Result<()> {
    let trace = Trace::open(file)?;
    require(
        scenario.workload.granularity.0 == PAGE_SIZE as u64,
        "workload.granularity",
        scenario.workload.granularity,
        "a trace has pages of 4KiB",
    )?;
    let pages = scenario.guest.memory.pages();
    require(
        scale_pages || trace.pages <= pages,
        "workload.placement.file",
        file,
        format_args!(
            "the trace writes to page {} and the guest ends at page {}: guest.memory of at least {}KiB, or scale_pages = true",
            trace.pages - 1,
            pages - 1,
            trace.pages * 4
        ),
    )
}

fn check_parts(parts: &[Part], field: &str) -> Result<()> {
    let name = format!("{field}.parts");
    require(
        (1..=16).contains(&parts.len()),
        &name,
        format_args!("{} parts", parts.len()),
        "1 to 16 parts",
    )?;
    for (i, part) in parts.iter().enumerate() {
        require(
            part.share > 0.0 && part.share <= 1.0,
            format_args!("{name}.{i}.share"),
            part.share,
            "a share above 0, up to 1",
        )?;
        check_plain(&part.placement, &format!("{name}.{i}.placement"))?;
    }
    let sum: f64 = parts.iter().map(|p| p.share).sum();
    require(
        (sum - 1.0).abs() < 1e-6,
        format_args!("{name}.share"),
        format_args!("{sum} in all"),
        "shares that sum to 1",
    )
}

fn check_plain(placement: &Placement, field: &str) -> Result<()> {
    let name = |name: &str| format!("{field}.{name}");
    let share = |key: &str, share: f64| {
        require(
            share > 0.0 && share <= 1.0,
            name(key),
            share,
            "a share above 0, up to 1",
        )
    };
    let writes = |writes: f64| {
        require(
            (0.0..=1.0).contains(&writes),
            name("writes"),
            writes,
            "a share from 0 to 1",
        )
    };
    match placement {
        Placement::Uniform { working_set } | Placement::Sweep { working_set } => {
            share("working_set", *working_set)
        }
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
            share("working_set", *working_set)
        }
        Placement::HotCold {
            writes: w,
            pages,
            working_set,
        } => {
            writes(*w)?;
            share("pages", *pages)?;
            share("working_set", *working_set)
        }
        Placement::MovingHotSet {
            writes: w,
            pages,
            every,
            working_set,
        } => {
            writes(*w)?;
            share("pages", *pages)?;
            check_every(name("every"), *every)?;
            share("working_set", *working_set)
        }
        Placement::Mixture { .. } | Placement::Trace { .. } => Err(Error::invalid(
            name("model"),
            "mixture or trace",
            "a part of a mixture is one of uniform, zipf, hot-cold, sweep, moving-hot-set",
        )),
    }
}

fn check_every(field: String, every: Span) -> Result<()> {
    require(
        (1_000..=86_400_000_000_000).contains(&every.as_nanos()),
        field,
        every,
        "a duration from 1us to 24h",
    )
}

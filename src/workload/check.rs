//! What the parameters of a stream may be.

use super::arrival::law::ArrivalLaw;
use super::spec::{Arrival, Part, Placement, StreamSpec};
use super::trace::Trace;
use crate::error::{Error, Result};
use crate::units::{PAGE_SIZE, Size};

/// vCPUs of a guest at most.
pub const MAX_VCPUS: u32 = 64;
/// Guest memory at most: more than any virtual machine monitor supports.
pub const MAX_MEMORY: Size = Size(64 << 40);
/// The most page writes per second that a vCPU can be asked for: one per nanosecond.
const MAX_VCPU_RATE: f64 = 1e9;
/// Sizes that placement works in.
const GRANULARITIES: [Size; 2] = [Size(PAGE_SIZE as u64), Size(2 << 20)];

const MEMORY: &str = "a whole number of 4KiB pages, from 4KiB to 64TiB";
const VCPUS: &str = "1 to 64";
const GRANULARITY: &str = "4KiB or 2MiB, not larger than guest.memory";

/// Fields of a scenario that are checked here by themselves, and what each may be.
pub(crate) const ALLOWED: &[(&str, &str)] = &[
    ("guest.memory", MEMORY),
    ("guest.vcpus", VCPUS),
    ("workload.granularity", GRANULARITY),
];

impl StreamSpec {
    /// Refuses what can't be, in one line: the scenario's field, its value, what is allowed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first such value, and for a trace that can't be used.
    pub fn check(&self) -> Result<()> {
        self.check_values()?;
        if let Arrival::Trace { .. } = self.arrival {
            check_rate(self)?;
        }
        match &self.placement {
            Placement::Trace { file, scale_pages } => check_trace(self, file, *scale_pages),
            _ => Ok(()),
        }
    }

    /// [`StreamSpec::check`] without opening a trace: for a stream that is only read about, whose file
    /// may not be there, or be anything if a stranger has named it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first value that can't be.
    pub fn check_values(&self) -> Result<()> {
        let memory = self.memory;
        let whole = memory.0 > 0 && memory.0.is_multiple_of(PAGE_SIZE as u64);
        Error::unless(
            whole && memory <= MAX_MEMORY,
            "guest.memory",
            memory,
            MEMORY,
        )?;
        let vcpus = (1..=MAX_VCPUS).contains(&self.vcpus);
        Error::unless(vcpus, "guest.vcpus", self.vcpus, VCPUS)?;
        Error::unless(
            GRANULARITIES.contains(&self.granularity) && self.granularity <= memory,
            "workload.granularity",
            self.granularity,
            GRANULARITY,
        )?;
        if !matches!(self.arrival, Arrival::Trace { .. }) {
            check_rate(self)?;
        }
        check_placement(&self.placement)
    }
}

/// Refuses an arrival that can't be, and a rate that is too high for it.
fn check_rate(spec: &StreamSpec) -> Result<()> {
    let peak_to_mean = ArrivalLaw::of(spec)?.peak_to_mean();
    let rate = spec.rate;
    let most = MAX_VCPU_RATE * f64::from(spec.vcpus) / peak_to_mean;
    Error::unless(
        rate.0 as f64 / PAGE_SIZE as f64 <= most,
        "workload.rate",
        rate,
        format_args!(
            "at most {:.0}MiB/s fits: one page write per nanosecond and vCPU in a burst of {peak_to_mean} times the mean",
            (most * PAGE_SIZE as f64 / f64::from(1 << 20)).floor()
        ),
    )
}

fn check_placement(placement: &Placement) -> Result<()> {
    const FIELD: &str = "workload.placement";
    match placement {
        // Without its file nothing more can be said.
        Placement::Trace { .. } => Ok(()),
        Placement::Mixture { parts } => check_parts(parts, FIELD),
        other => check_plain(other, FIELD),
    }
}

fn check_trace(spec: &StreamSpec, file: &str, scale_pages: bool) -> Result<()> {
    let trace = Trace::open(file)?;
    Error::unless(
        spec.granularity.0 == PAGE_SIZE as u64,
        "workload.granularity",
        spec.granularity,
        "a trace has pages of 4KiB",
    )?;
    let pages = spec.memory.pages();
    Error::unless(
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
    Error::unless(
        (1..=16).contains(&parts.len()),
        &name,
        format_args!("{} parts", parts.len()),
        "1 to 16 parts",
    )?;
    for (i, part) in parts.iter().enumerate() {
        Error::unless(
            part.share > 0.0 && part.share <= 1.0,
            format_args!("{name}.{i}.share"),
            part.share,
            "a share above 0, up to 1",
        )?;
        check_plain(&part.placement, &format!("{name}.{i}.placement"))?;
    }
    let sum: f64 = parts.iter().map(|p| p.share).sum();
    Error::unless(
        (sum - 1.0).abs() < 1e-6,
        format_args!("{name}.share"),
        format_args!("{sum} in all"),
        "shares that sum to 1",
    )
}

fn check_plain(placement: &Placement, field: &str) -> Result<()> {
    let name = |key: &str| format!("{field}.{key}");
    let share = |key: &str, share: f64| {
        let fine = share > 0.0 && share <= 1.0;
        Error::unless(fine, name(key), share, "a share above 0, up to 1")
    };
    let hot = |writes: f64, pages: f64| {
        let fine = (0.0..=1.0).contains(&writes);
        Error::unless(fine, name("writes"), writes, "a share from 0 to 1")?;
        share("pages", pages)
    };
    let working_set = match *placement {
        Placement::Uniform { working_set } | Placement::Sweep { working_set } => working_set,
        Placement::Zipf {
            exponent,
            working_set,
        } => {
            let fine = exponent > 0.0 && exponent <= 10.0;
            Error::unless(fine, name("exponent"), exponent, "above 0, up to 10")?;
            working_set
        }
        Placement::HotCold {
            writes,
            pages,
            working_set,
        } => {
            hot(writes, pages)?;
            working_set
        }
        Placement::MovingHotSet {
            writes,
            pages,
            every,
            working_set,
        } => {
            hot(writes, pages)?;
            let fine = (1_000..=86_400_000_000_000).contains(&every.as_nanos());
            Error::unless(fine, name("every"), every, "a duration from 1us to 24h")?;
            working_set
        }
        Placement::Mixture { .. } | Placement::Trace { .. } => {
            return Err(Error::invalid(
                name("model"),
                "mixture or trace",
                "a part of a mixture is one of uniform, zipf, hot-cold, sweep, moving-hot-set",
            ));
        }
    };
    share("working_set", working_set)
}

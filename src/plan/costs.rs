//! What one arm costs: times of rounds and CPU times, taken apart into what goes with each byte of page
//! content, with each page, with guest memory, and with each round.

use super::pacing::VcpuCosts;
use crate::stats::median;
use crate::units::PAGE_SIZE;

/// What one arm costs on the calibrated hosts. Seconds are a byte of page content's unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Costs {
    /// Harvesting, testing and framing, seconds a page, zero pages included.
    pub prepare_per_page_s: f64,
    /// Sealing.
    pub seal_s: f64,
    /// Socket writes and what stages don't explain, source.
    pub transmit_s: f64,
    /// Socket reads and what stages don't explain, destination.
    pub receive_s: f64,
    /// Opening and applying.
    pub open_apply_s: f64,
    /// What the source took in that run over what it takes by itself: see `Beside`.
    pub source_beside: f64,
    /// The same of the destination.
    pub destination_beside: f64,
    /// Bytes of a page's content on the wire, over the content: below 1 where it is compressed.
    pub sent_share: f64,
    /// Bytes beside content that a page takes on the wire.
    pub framing_bytes_per_page: f64,
    /// Before the first round: tracking starts, seconds a byte of guest memory.
    pub start_s: f64,
    /// A harvest, seconds a byte of guest memory.
    pub harvest_s: f64,
    /// A round's hand-over and acknowledgement, seconds a round.
    pub round_s: f64,
    /// Stopping vCPUs, seconds.
    pub pause_s: f64,
    /// Switchover without sending device state, seconds.
    pub switchover_s: f64,
    /// What pre-copy expects of a pause beside sending and harvest, seconds.
    pub expected_fixed_s: f64,
    /// Share of its time for which what decides is busy where cores do: see [`super::hosts::Hosts::time_s`].
    pub kept_busy: f64,
    /// Time that rounds take over what the link needs, where it binds.
    pub link_stretch: f64,
    /// CPU time of a vCPU a page write, seconds.
    pub vcpu_write_s: f64,
    /// What it takes more where the page was clean and is tracked, seconds.
    pub vcpu_fault_s: f64,
    /// CPU time of its sleep before one, seconds.
    pub vcpu_sleep_s: f64,
    /// Until it is awake then, seconds.
    pub vcpu_wake_s: f64,
}

macro_rules! each_cost {
    ($make:expr) => {
        Costs {
            prepare_per_page_s: $make(|c: &Costs| c.prepare_per_page_s),
            seal_s: $make(|c: &Costs| c.seal_s),
            transmit_s: $make(|c: &Costs| c.transmit_s),
            receive_s: $make(|c: &Costs| c.receive_s),
            open_apply_s: $make(|c: &Costs| c.open_apply_s),
            source_beside: $make(|c: &Costs| c.source_beside),
            destination_beside: $make(|c: &Costs| c.destination_beside),
            sent_share: $make(|c: &Costs| c.sent_share),
            framing_bytes_per_page: $make(|c: &Costs| c.framing_bytes_per_page),
            start_s: $make(|c: &Costs| c.start_s),
            harvest_s: $make(|c: &Costs| c.harvest_s),
            round_s: $make(|c: &Costs| c.round_s),
            pause_s: $make(|c: &Costs| c.pause_s),
            switchover_s: $make(|c: &Costs| c.switchover_s),
            expected_fixed_s: $make(|c: &Costs| c.expected_fixed_s),
            kept_busy: $make(|c: &Costs| c.kept_busy),
            link_stretch: $make(|c: &Costs| c.link_stretch),
            vcpu_write_s: $make(|c: &Costs| c.vcpu_write_s),
            vcpu_fault_s: $make(|c: &Costs| c.vcpu_fault_s),
            vcpu_sleep_s: $make(|c: &Costs| c.vcpu_sleep_s),
            vcpu_wake_s: $make(|c: &Costs| c.vcpu_wake_s),
        }
    };
}

impl Costs {
    /// The median of each; unknown ones, NaN, are left out.
    pub(super) fn median(of: &[Costs]) -> Costs {
        let one = |field: fn(&Costs) -> f64| {
            let known: Vec<f64> = of.iter().map(field).filter(|v| !v.is_nan()).collect();
            median(&known).unwrap_or(f64::NAN)
        };
        each_cost!(one)
    }

    /// Its own values, those of another where it has none.
    pub(super) fn or(&self, other: &Costs) -> Costs {
        let one = |field: fn(&Costs) -> f64| match field(self) {
            value if value.is_nan() => field(other),
            value => value,
        };
        each_cost!(one)
    }

    /// The same with so many times what goes with rounds and the pause, whatever is sent.
    pub(super) fn with_fixed(&self, times: f64) -> Costs {
        Costs {
            start_s: self.start_s * times,
            harvest_s: self.harvest_s * times,
            round_s: self.round_s * times,
            pause_s: self.pause_s * times,
            switchover_s: self.switchover_s * times,
            expected_fixed_s: self.expected_fixed_s * times,
            ..*self
        }
    }

    /// What a vCPU takes, writes to clean pages apart.
    pub fn vcpu(&self) -> VcpuCosts {
        VcpuCosts {
            write_s: self.vcpu_write_s,
            sleep_s: self.vcpu_sleep_s,
            wake_s: self.vcpu_wake_s,
        }
    }

    /// The same without what came on top of it in the run.
    pub(super) fn alone(&self, [source, destination]: [f64; 2]) -> Costs {
        Costs {
            prepare_per_page_s: self.prepare_per_page_s * source,
            seal_s: self.seal_s * source,
            transmit_s: self.transmit_s * source,
            receive_s: self.receive_s * destination,
            open_apply_s: self.open_apply_s * destination,
            source_beside: 1.0 / source,
            destination_beside: 1.0 / destination,
            ..*self
        }
    }

    /// CPU time of the source's stream threads for so many pages, seconds, with nothing beside them.
    pub fn source_s(&self, content_pages: f64, zero_pages: f64) -> f64 {
        let bytes = content_pages * PAGE_SIZE as f64;
        self.prepare_per_page_s * (content_pages + zero_pages)
            + (self.seal_s + self.transmit_s) * bytes
    }

    /// CPU time of the destination's, seconds.
    pub fn destination_s(&self, content_pages: f64) -> f64 {
        (self.receive_s + self.open_apply_s) * content_pages * PAGE_SIZE as f64
    }
}

/// What a run may not tell: of QEMU's arms, of runs whose links never bind.
pub(super) const FALLBACK: Costs = Costs {
    prepare_per_page_s: 0.0,
    seal_s: 0.0,
    transmit_s: 0.0,
    receive_s: 0.0,
    open_apply_s: 0.0,
    source_beside: 1.0,
    destination_beside: 1.0,
    sent_share: 1.0,
    framing_bytes_per_page: 8.0,
    start_s: 0.0,
    harvest_s: 0.0,
    round_s: 0.0,
    pause_s: 0.0,
    switchover_s: 0.0,
    expected_fixed_s: 0.0,
    kept_busy: 0.9,
    link_stretch: 1.01,
    vcpu_write_s: 0.4e-6,
    vcpu_fault_s: 1.5e-6,
    vcpu_sleep_s: 15e-6,
    vcpu_wake_s: 30e-6,
};

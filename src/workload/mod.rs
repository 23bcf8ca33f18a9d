//! The workload: dirty-page streams, i.e. page writes in time order.
//!
//! *Arrival* says when pages are written, *placement* says where; they are independent of each
//! other. A stream is a pure function of its [`StreamSpec`] (seed included) and the vCPU: integer
//! arithmetic, IEEE additions, multiplications and divisions, and `libm` for everything else, so
//! it is the same on every machine.
//!
//! What all vCPUs share: the phases of a bursty arrival (on-off, MMPP, b-model: bursts are the
//! guest's, so the merged stream follows the model at the full rate whatever the number of vCPUs)
//! and the pages (working set and its hot pages). What each has for itself: its share of the rate,
//! the instants of its writes and the draws of its pages.

mod arrival;
mod check;
pub mod measure;
mod merged;
mod placement;
mod random;
mod spec;
mod stream;
pub mod trace;
mod write;

pub use arrival::law::{Alternating, ArrivalLaw, Cascade, LengthLaw};
pub use arrival::pareto::Pareto;
pub use arrival::theory;
pub(crate) use check::ALLOWED;
pub use check::{MAX_MEMORY, MAX_VCPUS};
pub use merged::MergedStream;
pub(crate) use random::mix;
pub use spec::{Arrival, Part, Phases, Placement, StreamSpec};
pub use stream::WriteStream;
pub use write::PageWrite;

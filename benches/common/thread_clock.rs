//! A thread's CPU clock, for criterion.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use migtax::machine::clock::thread_cpu_ns;

/// CPU time of the calling thread.
pub struct ThreadClock;

impl ThreadClock {
    fn now() -> Duration {
        Duration::from_nanos(thread_cpu_ns())
    }
}

impl Measurement for ThreadClock {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

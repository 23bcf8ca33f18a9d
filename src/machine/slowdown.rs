//! Slowdowns of known size, put in on purpose: the gate is tested against them in whole runs.
//!
//! They come from the environment, which hosts inherit from their coordinator (not over ssh), so
//! that one build can stand for a fast and for a slow one. Results made under one carry a warning.

use std::time::Instant;

use super::clock::thread_cpu_ns;

/// A stage that can be slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Slowed {
    /// The source's cipher.
    Seal,
    /// Writing guest memory from a record's content, where it is copied.
    Apply,
    /// Socket writes.
    Transmit,
}

impl Slowed {
    /// The environment variable that holds the share, such as 0.05.
    pub fn variable(self) -> &'static str {
        match self {
            Slowed::Seal => "MIGTAX_INJECT_SEAL_SLOWDOWN",
            Slowed::Apply => "MIGTAX_INJECT_APPLY_SLOWDOWN",
            Slowed::Transmit => "MIGTAX_INJECT_TRANSMIT_SLOWDOWN",
        }
    }

    /// By how much it is to be slowed down, above 0 to 10, if it is.
    pub fn share(self) -> Option<f64> {
        let text = std::env::var(self.variable()).ok()?;
        let share = text.parse().ok();
        share.filter(|share: &f64| *share > 0.0 && *share <= 10.0)
    }
}

/// What a stage does with its slowdown, asked for once and not at every piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Slowdown {
    stage: Slowed,
    share: Option<f64>,
}

impl Slowdown {
    /// The stage's, from the environment.
    pub fn of(stage: Slowed) -> Slowdown {
        Slowdown {
            stage,
            share: stage.share(),
        }
    }

    /// Does the work and then spins for the share of the CPU time that it took.
    #[inline]
    pub fn around<T>(self, work: impl FnOnce() -> T) -> T {
        let Some(share) = self.share else {
            return work();
        };
        match self.stage {
            // Short, and never waits: the cheap clock is the better one.
            Slowed::Seal | Slowed::Apply => {
                let began = Instant::now();
                let done = work();
                let until = began.elapsed().mul_f64(1.0 + share);
                while began.elapsed() < until {
                    std::hint::spin_loop();
                }
                done
            }
            // Waits for the peer and the link.
            Slowed::Transmit => {
                let began = thread_cpu_ns();
                let done = work();
                let spent = thread_cpu_ns() - began;
                let until = began + spent + (spent as f64 * share) as u64;
                while thread_cpu_ns() < until {
                    std::hint::spin_loop();
                }
                done
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn work_costs_its_share_more() {
        let work = || {
            let mut x = 1u64;
            for _ in 0..3_000_000 {
                x = std::hint::black_box(x.wrapping_mul(3));
            }
            thread_cpu_ns()
        };
        for stage in Slowed::iter() {
            assert_eq!(Slowdown::of(stage).share, None);
            let slowdown = Slowdown {
                stage,
                share: Some(1.0),
            };
            let began = thread_cpu_ns();
            let ended = slowdown.around(work);
            let (own, more) = (ended - began, thread_cpu_ns() - ended);
            // On a busy machine a share of wall time is less CPU time than that.
            let least = if stage == Slowed::Transmit {
                own / 2
            } else {
                0
            };
            assert!(more > least, "{stage}: {own} ns and {more} ns more");
        }
    }
}

//! What backs guest memory: pages of which size, and from when on they are there.

use std::fs;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer, Serialize};

use super::GuestMemory;

/// Which pages the kernel may back guest memory with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
pub enum Pages {
    /// Pages of 4 KiB alone.
    #[serde(rename = "4k")]
    #[value(name = "4k")]
    Small,
    /// Transparent huge pages of 2 MiB, where it finds them.
    #[serde(rename = "thp")]
    #[value(name = "thp")]
    Huge,
}

/// When the pages of a destination's guest memory are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Before the migration: no first touch falls into it.
    FaultedIn,
    /// At the first touch: each costs whatever stage touches the page first a page fault.
    OnDemand,
}

/// What the kernel says of a guest's memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Present; pages that were only read from and hold zeros are not counted.
    pub resident: u64,
    /// Of these, mapped by transparent huge pages.
    pub huge: u64,
}

impl<'de> Deserialize<'de> for Pages {
    /// Results of earlier builds say whether huge pages were allowed (`huge_pages`).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Allowed(bool),
            Named(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Allowed(false) => Ok(Pages::Small),
            Raw::Allowed(true) => Ok(Pages::Huge),
            Raw::Named(name) => Pages::from_str(&name, false)
                .map_err(|_| serde::de::Error::custom("no size of pages")),
        }
    }
}

impl GuestMemory {
    /// What the kernel says of this memory, by a walk over its page tables: about 5 ms a GiB of small
    /// pages. Zeros where it does not say.
    pub fn footprint(&self) -> Footprint {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let begin = self.base_ptr() as u64;
        footprint_of(&smaps, begin..begin + self.len() as u64)
    }
}

/// The sum over the mappings that lie in a range: `/proc/PID/smaps`, proc_pid_smaps(5).
fn footprint_of(smaps: &str, range: std::ops::Range<u64>) -> Footprint {
    let mut sum = Footprint::default();
    let mut inside = false;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        let bounds = first.split_once('-').and_then(|(from, to)| {
            let bound = |text| u64::from_str_radix(text, 16).ok();
            Some((bound(from)?, bound(to)?))
        });
        if let Some((from, to)) = bounds {
            inside = range.start <= from && to <= range.end;
        } else if inside {
            let kib: u64 = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            match first {
                "Rss:" => sum.resident += kib << 10,
                "AnonHugePages:" => sum.huge += kib << 10,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Size;

    #[test]
    fn mappings_of_the_range_are_summed_and_no_others() {
        let smaps = "\
            7f0000000000-7f0000400000 rw-p 00000000 00:00 0 \n\
            Rss:                4096 kB\n\
            AnonHugePages:      2048 kB\n\
            VmFlags: rd wr mr mw me dc hg\n\
            7f0000400000-7f0000600000 rw-p 00000000 00:00 0 \n\
            Rss:                   4 kB\n\
            AnonHugePages:         0 kB\n\
            7f0000600000-7f0000800000 rw-p 00000000 00:00 0 [heap]\n\
            Rss:                2048 kB\n\
            AnonHugePages:      2048 kB\n";
        let found = footprint_of(smaps, 0x7f00_0000_0000..0x7f00_0060_0000);
        let expected = Footprint {
            resident: (4096 + 4) << 10,
            huge: 2048 << 10,
        };
        assert_eq!(found, expected);
        assert_eq!(footprint_of("", 0..1), Footprint::default());
    }

    #[test]
    fn memory_is_backed_as_asked() {
        let size = Size(32 << 20);
        let of = |pages, presence| GuestMemory::backed(size, pages, presence).unwrap();
        let small = of(Pages::Small, Presence::FaultedIn).footprint();
        assert_eq!((small.resident, small.huge), (size.0, 0));
        for pages in [Pages::Small, Pages::Huge] {
            let memory = of(pages, Presence::OnDemand);
            assert_eq!(memory.footprint(), Footprint::default());
            assert!(memory.is_zero(5));
            memory.write_word(4096, 0, 1);
            let touched = memory.footprint().resident;
            assert!((1..=2 << 20).contains(&touched), "{touched}");
        }
        let huge = of(Pages::Huge, Presence::FaultedIn).footprint();
        assert_eq!(huge.resident, size.0);
        let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        match enabled.unwrap_or_default() {
            text if text.contains("[always]") || text.contains("[madvise]") => {
                assert!(huge.huge > 0, "no huge page, though the kernel gives them");
            }
            text => eprintln!("huge pages not tested: {text}"),
        }
    }

    #[test]
    fn an_earlier_builds_spelling_is_read() {
        let read = |json| serde_json::from_str::<Pages>(json).ok();
        assert_eq!(read("false"), Some(Pages::Small));
        assert_eq!(read("true"), Some(Pages::Huge));
        assert_eq!(read("\"4k\""), Some(Pages::Small));
        assert_eq!(read("\"thp\""), Some(Pages::Huge));
        assert_eq!(read("\"2m\""), None);
        assert_eq!(serde_json::to_string(&Pages::Small).unwrap(), "\"4k\"");
    }
}

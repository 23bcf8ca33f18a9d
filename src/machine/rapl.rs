//! Energy of the processor packages, as the kernel's powercap tree exposes RAPL (Intel and AMD).

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows it.
pub const POWERCAP: &str = "/sys/class/powercap";

/// The energy counters of all packages of a machine.
#[derive(Debug)]
pub struct Rapl {
    packages: Vec<Package>,
}

#[derive(Debug)]
struct Package {
    energy: PathBuf,
    /// Beyond this the counter begins at 0 again, microjoules.
    range_uj: u64,
}

impl Rapl {
    /// The packages under a powercap tree, usually [`POWERCAP`].
    ///
    /// # Errors
    /// Why there are none to be read: one line.
    pub fn open(tree: &Path) -> Result<Rapl, String> {
        let folders =
            fs::read_dir(tree).map_err(|error| format!("no RAPL: {}: {error}", tree.display()))?;
        let mut packages = Vec::new();
        for folder in folders.filter_map(Result::ok) {
            // `intel-rapl:0` is a package; `intel-rapl:0:0` a part of it, and `intel-rapl-mmio:0` the
            // same package by another way.
            let name = folder.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix("intel-rapl:"));
            if number.is_none_or(|number| number.parse::<u32>().is_err()) {
                continue;
            }
            let folder = folder.path();
            let label = fs::read_to_string(folder.join("name")).unwrap_or_default();
            // The whole platform (`psys`) holds the packages.
            if label.starts_with("package") {
                let energy = folder.join("energy_uj");
                number_in(&energy)?;
                packages.push(Package {
                    energy,
                    range_uj: number_in(&folder.join("max_energy_range_uj"))?,
                });
            }
        }
        match packages.is_empty() {
            true => Err(format!("no RAPL: no package in {}", tree.display())),
            false => Ok(Rapl { packages }),
        }
    }

    /// How many packages there are.
    pub fn packages(&self) -> usize {
        self.packages.len()
    }

    /// The counters now, microjoules; `None` if one can no longer be read.
    pub fn read(&self) -> Option<Vec<u64>> {
        let counters = self.packages.iter();
        counters
            .map(|package| number_in(&package.energy).ok())
            .collect()
    }

    /// Energy between two reads, joules. A counter that went around did so once: at 200 W that takes
    /// 20 minutes.
    pub fn between_j(&self, before: &[u64], after: &[u64]) -> f64 {
        let parts = self.packages.iter().zip(before).zip(after);
        let used = parts.map(
            |((package, before), after)| match after.checked_sub(*before) {
                Some(used) => used,
                None => package
                    .range_uj
                    .saturating_sub(*before)
                    .saturating_add(*after),
            },
        );
        used.sum::<u64>() as f64 / 1e6
    }
}

fn number_in(path: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("no RAPL: {}: {error}", path.display()))?;
    text.trim()
        .parse()
        .map_err(|_| format!("no RAPL: {} holds no number", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of folders, each with its label, counter and range.
    fn tree(zones: &[(&str, &str, &str, &str)]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (folder, label, energy, range) in zones {
            let folder = tree.path().join(folder);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("name"), format!("{label}\n")).unwrap();
            fs::write(folder.join("energy_uj"), format!("{energy}\n")).unwrap();
            fs::write(folder.join("max_energy_range_uj"), format!("{range}\n")).unwrap();
        }
        tree
    }

    #[test]
    fn packages_are_added_and_their_parts_are_not() {
        let tree = tree(&[
            ("intel-rapl:0", "package-0", "1000", "262143328850"),
            ("intel-rapl:0:0", "core", "400", "262143328850"),
            ("intel-rapl:1", "package-1", "50000", "60000"),
            ("intel-rapl:2", "psys", "99999", "262143328850"),
            ("intel-rapl-mmio:0", "package-0", "1000", "262143328850"),
        ]);
        let rapl = Rapl::open(tree.path()).unwrap();
        assert_eq!(rapl.packages(), 2);
        let before = rapl.read().unwrap();
        let set = |zone: &str, energy: &str| {
            fs::write(tree.path().join(zone).join("energy_uj"), energy).unwrap();
        };
        set("intel-rapl:0", "3501000");
        // Around once: 10000 up to its range and 2000 more.
        set("intel-rapl:1", "2000");
        set("intel-rapl:0:0", "3000000");
        let after = rapl.read().unwrap();
        assert!((rapl.between_j(&before, &after) - 3.512).abs() < 1e-9);
        fs::remove_file(tree.path().join("intel-rapl:1/energy_uj")).unwrap();
        assert_eq!(rapl.read(), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let none = Rapl::open(Path::new("/nowhere")).unwrap_err();
        assert!(none.contains("/nowhere"), "{none}");
        let psys = tree(&[("intel-rapl:0", "psys", "1", "2")]);
        assert!(Rapl::open(psys.path()).unwrap_err().contains("no package"));
        let words = tree(&[("intel-rapl:0", "package-0", "many", "2")]);
        assert!(
            Rapl::open(words.path())
                .unwrap_err()
                .contains("energy_uj holds no number")
        );
    }
}

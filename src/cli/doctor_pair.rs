//! `migtax doctor --destination ...`: what a pair of hosts is and lacks, before a run.

use serde::Serialize;

use crate::arm::Arm;
use crate::error::{ExitCode, Result};
use crate::host::Capabilities;
use crate::machine::{RESERVE_BYTES, window};
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::runner::Options;
use crate::runner::probe::{self, Link};
use crate::runner::process::{Launcher, Role};
use crate::scenario;
use crate::units::{Bandwidth, Size};

/// Memory that a process may lock, bytes, below which runs of many streams can't lock every key.
const LOCKED_BYTES: u64 = 8 << 20;
/// The largest packet of a plain Ethernet, bytes.
const ETHERNET_MTU: u32 = 1500;

/// The two hosts of a run and the way between them; what could not be found out is absent.
#[derive(Debug, Default, Serialize)]
struct Pair {
    source: Option<Capabilities>,
    destination: Option<Capabilities>,
    link: Option<Link>,
    findings: Vec<Finding>,
}

/// Something that weakens or prevents a run.
#[derive(Debug, PartialEq, Serialize)]
struct Finding {
    what: String,
    remedy: String,
    /// No run can be made like this.
    prevents: bool,
}

/// Looks at both hosts, tries the link, and prints what was found, each with what would help.
///
/// # Errors
/// If this machine's host can't be asked. What the other lacks is a finding.
pub fn run(options: &Options, memory: Option<Size>, json: bool) -> Result<ExitCode> {
    let command = options.destination.clone().unwrap_or_default();
    let launcher = Launcher::this_build()?.with_destination(command);
    let standard = scenario::load(None)?;
    let memory = memory.unwrap_or(standard.guest.memory);
    let mut pair = Pair {
        source: Some(launcher.capabilities(Role::Source, Arm::foremost())?),
        ..Pair::default()
    };
    match launcher.capabilities(Role::Destination, Arm::foremost()) {
        Ok(told) => {
            pair.destination = Some(told);
            match probe::probe(&launcher, &options.route) {
                Ok(link) => pair.link = Some(link),
                Err(error) => pair.prevented(
                    format!("no connection for pages: {error}"),
                    "open a port in the destination's firewall and name it (--listen 0.0.0.0:PORT); \
                     --connect is an address at which the source reaches the destination",
                ),
            }
        }
        Err(error) => pair.prevented(
            error.to_string(),
            "run the destination's command by hand, with `host capabilities` behind it: it must \
             print JSON and ask for nothing",
        ),
    }
    pair.compare(memory, standard.migration.link);
    if json {
        super::print_json(&pair)?;
    } else {
        print!("{}", pair.facts());
        match pair.findings[..] {
            [] => println!("\nnothing is missing"),
            _ => println!(),
        }
        for Finding { what, remedy, .. } in &pair.findings {
            println!("- {what}\n  remedy: {remedy}");
        }
    }
    match pair.findings.iter().any(|finding| finding.prevents) {
        true => Ok(ExitCode::CannotRun),
        false => Ok(ExitCode::Done),
    }
}

impl Pair {
    fn found(&mut self, what: String, remedy: impl Into<String>) {
        self.findings.push(Finding {
            what,
            remedy: remedy.into(),
            prevents: false,
        });
    }

    fn prevented(&mut self, what: String, remedy: &str) {
        self.findings.push(Finding {
            what,
            remedy: remedy.to_owned(),
            prevents: true,
        });
    }

    /// What a run of a guest with that memory would meet, beside what has been found; `standard` is
    /// the default scenario's link.
    fn compare(&mut self, memory: Size, standard: Bandwidth) {
        let hosts = [
            ("source", self.source.clone()),
            ("destination", self.destination.clone()),
        ];
        for (role, host) in &hosts {
            if let Some(host) = host {
                self.look_at(role, host, memory);
            }
        }
        let [(_, Some(source)), (_, Some(destination))] = hosts else {
            return;
        };
        let (here, there) = (source.build(), destination.build());
        if here != there {
            self.found(
                format!("the source is migtax {here}, the destination {there}"),
                "use one build on both sides: figures of two are those of neither",
            );
        }
        let lacks = |a: &Capabilities, b: &Capabilities| -> Vec<String> {
            let missing = |feature: &&String| !b.cpu_features.contains(feature);
            a.cpu_features.iter().filter(missing).cloned().collect()
        };
        for (role, missing) in [
            ("source", lacks(&destination, &source)),
            ("destination", lacks(&source, &destination)),
        ] {
            if !missing.is_empty() {
                self.found(
                    format!("the {role}'s CPU alone lacks {}", missing.join(" ")),
                    "read each side's figures by themselves, or use hosts of one CPU model",
                );
            }
        }
        let (send, receive) = (
            source.limits.send_buffer_bytes,
            destination.limits.receive_buffer_bytes,
        );
        self.look_at_link(standard, window(send, receive));
    }

    fn look_at(&mut self, role: &str, host: &Capabilities, memory: Size) {
        let need = memory.0.saturating_add(RESERVE_BYTES);
        let have = host.limits.available_memory_bytes;
        if let Some(have) = have.filter(|have| *have < need) {
            self.prevented(
                format!(
                    "a guest of {memory} does not fit the {role}, which has {} MiB available",
                    have >> 20
                ),
                "name a smaller guest (--memory), or end other programs there",
            );
        }
        let limit = host.limits.locked_memory_bytes;
        if let Some(limit) = limit.filter(|limit| *limit < LOCKED_BYTES) {
            self.found(
                format!(
                    "the {role} may lock {} KiB of memory: keys may be swapped out",
                    limit >> 10
                ),
                "raise the limit (ulimit -l 8192, or memlock in limits.conf), or turn swap off",
            );
        }
        let lacks = |feature: &&&str| !host.cpu_features.iter().any(|has| has == **feature);
        for arm in Arm::own() {
            let missing: Vec<_> = arm
                .row()
                .required_features
                .iter()
                .filter(lacks)
                .copied()
                .collect();
            if !missing.is_empty() {
                self.found(
                    format!(
                        "arm {arm} is unsupported: the {role}'s CPU lacks {}",
                        missing.join(" ")
                    ),
                    "leave it out (--arms), or use another host",
                );
            }
        }
        if let Some(failure) = &host.known_answer_failure {
            self.prevented(
                format!("{role}: {failure}"),
                "build it again, or use another host",
            );
        }
    }

    fn look_at_link(&mut self, standard: Bandwidth, window: Option<u64>) {
        let Some(link) = self.link.clone() else {
            return;
        };
        let rate = link.bits_per_second;
        if let Bandwidth::BitsPerSecond(bits) = standard
            && rate < 0.9 * bits as f64
        {
            // What it carries, rounded down to two digits.
            let step = 10f64.powf(rate.max(1.0).log10().floor() - 1.0).max(1.0);
            let carried = Bandwidth::BitsPerSecond(((rate / step).floor() * step) as u64);
            self.found(
                format!(
                    "one connection carried {}: less than the default scenario's {standard}",
                    bandwidth(rate)
                ),
                format!("name a link that the network carries (--link {carried}), and more streams (--streams)"),
            );
        }
        if link.mtu_bytes.is_some_and(|mtu| mtu < ETHERNET_MTU) {
            self.found(
                format!(
                    "packets of at most {} bytes pass",
                    link.mtu_bytes.unwrap_or(0)
                ),
                "a tunnel on the way takes the rest: let the migration's network go past it",
            );
        }
        if let (Some(window), Some(rtt_s)) = (window, link.rtt_s)
            && let Bandwidth::BitsPerSecond(bits) = standard
            && (window as f64 * 8.0) < bits as f64 * rtt_s
        {
            self.found(
                format!(
                    "with a round trip of {} one connection can't carry {standard}: socket buffers \
                     hold {} on the way",
                    text::seconds(rtt_s),
                    text::bytes(window as f64)
                ),
                "raise net.ipv4.tcp_wmem at the source and net.ipv4.tcp_rmem at the destination, or use more streams",
            );
        }
    }

    fn facts(&self) -> String {
        let of = |fact: fn(&Capabilities) -> String| -> [Cell; 2] {
            [&self.source, &self.destination].map(|host| {
                host.as_ref()
                    .map_or_else(Cell::none, |host| Cell::text(fact(host)))
            })
        };
        let facts = [
            ("build", of(Capabilities::build)),
            ("features", of(|host| host.cpu_features.join(" "))),
            (
                "memory available",
                of(|host| mebibytes(host.limits.available_memory_bytes, "not readable")),
            ),
            (
                "memory to lock",
                of(|host| mebibytes(host.limits.locked_memory_bytes, "no limit")),
            ),
        ];
        let rows = facts
            .into_iter()
            .map(|(name, [source, destination])| vec![Cell::text(name), source, destination]);
        let columns = vec![
            Column::text(""),
            Column::text("source"),
            Column::text("destination"),
        ];
        let mut told = Table::new("", "", columns, rows.collect()).terminal();
        if let Some(link) = &self.link {
            let (rtt, mtu) = (
                link.rtt_s.map_or("unknown".to_owned(), text::seconds),
                link.mtu_bytes
                    .map_or("unknown".to_owned(), |mtu| format!("{mtu} bytes")),
            );
            told.push_str(&format!(
                "\nlink to {}: one connection carried {} for a second, round trip {rtt}, packets of {mtu}\n",
                link.address,
                bandwidth(link.bits_per_second)
            ));
        }
        told
    }
}

fn mebibytes(bytes: Option<u64>, absent: &str) -> String {
    bytes.map_or_else(|| absent.to_owned(), |bytes| format!("{} MiB", bytes >> 20))
}

fn bandwidth(bits_per_second: f64) -> String {
    format!("{} Gbit/s", text::sig3(bits_per_second / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::capabilities;

    const STANDARD: Bandwidth = Bandwidth::BitsPerSecond(10_000_000_000);

    fn pair() -> Pair {
        let mut host = capabilities(Arm::foremost(), false);
        host.limits.available_memory_bytes = Some(1 << 40);
        host.limits.locked_memory_bytes = None;
        host.limits.send_buffer_bytes = Some(4 << 20);
        host.limits.receive_buffer_bytes = Some(6 << 20);
        host.cpu_features = crate::arm::Arm::own()
            .flat_map(|arm| arm.row().required_features.iter().map(|f| (*f).to_owned()))
            .collect();
        Pair {
            source: Some(host.clone()),
            destination: Some(host),
            link: Some(Link {
                address: "there:7".to_owned(),
                bits_per_second: 9.6e9,
                mtu_bytes: Some(9000),
                rtt_s: Some(100e-6),
            }),
            findings: Vec::new(),
        }
    }

    fn found(mut pair: Pair) -> (String, bool) {
        pair.compare(Size(1 << 30), STANDARD);
        let told = pair
            .findings
            .iter()
            .map(|f| format!("{}: {}\n", f.what, f.remedy));
        (told.collect(), pair.findings.iter().any(|f| f.prevents))
    }

    #[test]
    fn a_pair_without_faults_has_none() {
        assert_eq!(found(pair()), (String::new(), false));
        assert!(
            pair()
                .facts()
                .contains("link to there:7: one connection carried 9.60 Gbit/s")
        );
    }

    #[test]
    fn each_lack_is_named_with_its_host_and_its_remedy() {
        type Spoil = fn(&mut Capabilities, &mut Link);
        let cases: [(Spoil, &[&str], bool); 7] = [
            (
                |host, _| host.migtax_version = "9.9".to_owned(),
                &["the destination 9.9", "one build on both sides"],
                false,
            ),
            (
                |host, _| host.cpu_features.retain(|feature| feature != "aes"),
                &[
                    "the destination's CPU alone lacks aes",
                    "arm aws-lc is unsupported",
                ],
                false,
            ),
            (
                |host, _| host.limits.available_memory_bytes = Some(1 << 30),
                &["a guest of 1GiB does not fit the destination", "--memory"],
                true,
            ),
            (
                |host, _| host.limits.locked_memory_bytes = Some(64 << 10),
                &["the destination may lock 64 KiB", "ulimit -l"],
                false,
            ),
            (
                |_, link| link.bits_per_second = 765e6,
                &["carried 0.765 Gbit/s", "--link 760Mbit/s"],
                false,
            ),
            (
                |_, link| link.mtu_bytes = Some(1400),
                &["packets of at most 1400 bytes", "tunnel"],
                false,
            ),
            (
                |_, link| link.rtt_s = Some(0.01),
                &["socket buffers hold 3", "net.ipv4.tcp_rmem"],
                false,
            ),
        ];
        for (spoil, words, prevents) in cases {
            let mut spoilt = pair();
            let host = spoilt.destination.as_mut().unwrap();
            spoil(host, spoilt.link.as_mut().unwrap());
            let (told, prevented) = found(spoilt);
            for word in words {
                assert!(told.contains(word), "{word}: {told}");
            }
            assert_eq!(prevented, prevents, "{told}");
        }
    }
}

//! Where the hosts of a run are: CPUs, another machine, addresses, QEMU's binary.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::runner::Options;
use crate::runner::process::Role;
use crate::runner::route::has_port;

/// Flags that say where the hosts run and how they reach each other.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// CPUs to keep the hosts to, such as source=0,destination=1
    #[arg(long, value_name = "ROLE=CPUS", value_parser = parse_pin)]
    pin: Option<Pin>,
    #[command(flatten)]
    reach: Reach,
    /// Roles that behave as if their CPUs had no AES instructions
    #[arg(long, value_name = "HOSTS", value_parser = parse_hosts)]
    hide_aes: Option<Roles>,
    /// QEMU's binary, for the arms that it runs [default: qemu-system-x86_64 of PATH]
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
}

/// Flags that say where the destination is and how the source reaches it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Reach {
    /// How to start migtax where the guest goes, such as "ssh -o BatchMode=yes host2 migtax";
    /// quoted as in a shell. Results record it, passwords of known forms masked: give none here
    #[arg(long, value_name = "COMMAND")]
    destination: Option<String>,
    /// Where the destination listens [default: 127.0.0.1:0, with --destination 0.0.0.0:0]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Where the source connects, if not where the destination says that it listens
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_connect)]
    connect: Option<String>,
}

impl Place {
    /// Puts them into a run's options.
    ///
    /// # Errors
    /// If a destination elsewhere can't be started or reached by what is given.
    pub fn put_into(&self, options: &mut Options) -> Result<()> {
        let pin = self.pin.clone().unwrap_or_default();
        check_cpus(&pin.source)?;
        if self.reach.destination.is_none() {
            check_cpus(&pin.destination)?;
        }
        options.pin_source = pin.source;
        options.pin_destination = pin.destination;
        options.hide_aes = self.hide_aes.clone().unwrap_or_default().0;
        options.qemu = self.qemu.clone();
        self.reach.put_into(options)
    }
}

impl Reach {
    /// Puts them into a run's options.
    ///
    /// # Errors
    /// If a destination elsewhere can't be started or reached by what is given.
    pub fn put_into(&self, options: &mut Options) -> Result<()> {
        options.destination = self.destination.as_deref().map(words).transpose()?;
        options.route.connect = self.connect.clone();
        let elsewhere = || "0.0.0.0:0".parse().expect("an address");
        let Some(listen) = self
            .listen
            .or(self.destination.as_ref().map(|_| elsewhere()))
        else {
            return Ok(());
        };
        options.route.listen = listen.to_string();
        Error::unless(
            !listen.ip().is_unspecified() || self.connect.is_some(),
            "--listen",
            listen,
            "an address of the destination's own, or --connect HOST to say where it is reached",
        )
    }
}

/// CPUs for each role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Pin {
    source: Vec<usize>,
    destination: Vec<usize>,
}

fn parse_pin(text: &str) -> std::result::Result<Pin, String> {
    let allowed =
        || format!("\"{text}\": CPUs for each role, joined by +, such as source=0,destination=1+2");
    let mut pin = Pin::default();
    for part in text.split(',') {
        let (role, cpus) = part.split_once('=').ok_or_else(allowed)?;
        let cpus: Vec<usize> = cpus
            .split('+')
            .map(|cpu| cpu.parse().map_err(|_| allowed()))
            .collect::<std::result::Result<_, _>>()?;
        let slot = match role {
            "source" => &mut pin.source,
            "destination" => &mut pin.destination,
            _ => return Err(allowed()),
        };
        *slot = cpus;
    }
    Ok(pin)
}

/// CPUs of this machine; what a destination elsewhere has, it checks itself.
fn check_cpus(cpus: &[usize]) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match cpus.iter().find(|cpu| **cpu >= cores) {
        Some(cpu) => {
            let allowed = format!("CPUs that this process may use: 0 to {}", cores - 1);
            Err(Error::invalid("--pin", cpu, allowed))
        }
        None => Ok(()),
    }
}

/// A command in words. An error does not repeat it: it may hold a password.
fn words(command: &str) -> Result<Vec<String>> {
    shlex::split(command)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| {
            let allowed = "a command in words, with every quote closed";
            Error::invalid("--destination", "(not shown)", allowed)
        })
}

fn parse_connect(text: &str) -> std::result::Result<String, String> {
    let host = match has_port(text) {
        true => text.rsplit_once(':').map_or("", |(host, _)| host),
        false => text,
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let odd = |c: char| c.is_whitespace() || c == '/' || (c == ':' && !bracketed);
    if host.is_empty() || host.contains(odd) {
        return Err(
            "a host name or address, and a port if it is not the destination's own: \
                    host2, 192.0.2.7:5000, [2001:db8::7]:5000"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// The roles that a flag names.
#[derive(Debug, Clone, Default)]
pub struct Roles(pub(super) Vec<Role>);

/// The roles of `source`, `destination` or `both`.
///
/// # Errors
/// What is allowed.
pub fn parse_hosts(text: &str) -> std::result::Result<Roles, String> {
    match text {
        "source" => Ok(Roles(vec![Role::Source])),
        "destination" => Ok(Roles(vec![Role::Destination])),
        "both" => Ok(Roles(vec![Role::Source, Role::Destination])),
        _ => Err("source, destination or both".to_owned()),
    }
}

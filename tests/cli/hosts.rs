//! Hosts by themselves: what they refuse, whatever a coordinator says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use migtax::arm::Arm;
use migtax::host::{Command, Event, HostSpec, PROTOCOL};
use migtax::scenario::{Policy, Scenario};
use migtax::tunnel::TunnelSpec;

use crate::command::migtax;

/// An encrypted arm in the clear: allowed as a fallback alone.
fn in_the_clear(scenario: Scenario) -> HostSpec {
    HostSpec {
        protocol: PROTOCOL,
        arm: Arm::RUSTCRYPTO_SOFT,
        sealed: false,
        scenario,
        migration_id: "5eed".to_owned(),
        stream_seed: 1,
        start_offset_ns: 0,
        listen: "127.0.0.1:0".to_owned(),
        pin: Vec::new(),
        thread_clock_read_ns: 400.0,
        tunnel: None,
        fleet: None,
    }
}

/// What a host says first, and its exit code once its input has ended.
fn first_word(role: &str, spec: &HostSpec) -> (Event, Option<i32>) {
    let mut host = migtax()
        .args(["host", role])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = serde_json::to_vec(spec).unwrap();
    line.push(b'\n');
    host.stdin.take().unwrap().write_all(&line).unwrap();
    let output = host.wait_with_output().unwrap();
    let first = output.stdout.split(|byte| *byte == b'\n').next().unwrap();
    let event = serde_json::from_slice(first).unwrap();
    (event, output.status.code())
}

fn small() -> Scenario {
    let mut scenario = migtax::scenario::load(None).unwrap();
    scenario.guest.memory = migtax::units::Size(4 << 20);
    scenario
}

fn tunnel_in(folder: &Path) -> TunnelSpec {
    TunnelSpec {
        folder: folder.to_owned(),
        user: "nobody".to_owned(),
        cipher: None,
        client: "/bin/false".into(),
        server: "/bin/false".into(),
    }
}

/// What goes through a tunnel goes through no socket without one, and the other way round.
#[test]
fn both_hosts_keep_a_tunnels_streams_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let tunnel = || Some(tunnel_in(folder.path()));
    for (arm, sealed, tunnel, reason) in [
        (Arm::SSH, true, None, "spec.tunnel = none"),
        (Arm::STUNNEL, true, None, "spec.tunnel = none"),
        (Arm::SSH, false, tunnel(), "spec.tunnel = given"),
        (Arm::PLAIN, false, tunnel(), "spec.tunnel = given"),
        (Arm::TLS, true, tunnel(), "spec.tunnel = given"),
    ] {
        let spec = HostSpec {
            arm,
            sealed,
            tunnel,
            ..in_the_clear(small())
        };
        for role in ["source", "destination"] {
            let (event, code) = first_word(role, &spec);
            let Event::Refused { reason: said } = event else {
                panic!("{role}: {event:?}");
            };
            assert!(said.starts_with(reason), "{role}, {arm}: {said}");
            assert_eq!(code, Some(2), "{role}");
        }
    }
}

/// A source that is told of no tunnel when it is to connect does not go without.
#[test]
fn a_source_connects_through_its_tunnel_or_not_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (arm, sealed) in [(Arm::SSH, true), (Arm::PLAIN, false)] {
        let spec = HostSpec {
            arm,
            sealed,
            tunnel: sealed.then(|| tunnel_in(folder.path())),
            ..in_the_clear(small())
        };
        let mut host = migtax()
            .args(["host", "source"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It ends with its input.
        let mut input = host.stdin.take().unwrap();
        let secret = format!("{} {}\n", "5e".repeat(32), "ed".repeat(8));
        let connect = Command::Connect {
            address: address.clone(),
            tunnel: (!sealed).then(|| address.clone()),
        };
        let mut text = serde_json::to_string(&spec).unwrap() + "\n";
        text += if sealed { &secret } else { "" };
        text += &(serde_json::to_string(&connect).unwrap() + "\n");
        input.write_all(text.as_bytes()).unwrap();
        let mut said = String::new();
        let mut output = host.stdout.take().unwrap();
        output.read_to_string(&mut said).unwrap();
        assert_eq!(host.wait().unwrap().code(), Some(2), "{said}");
        let last = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let Event::Refused { reason } = last else {
            panic!("{arm}: {said}");
        };
        let told = if sealed { "none" } else { "given" };
        assert!(
            reason.starts_with(&format!("connect.tunnel = {told}")),
            "{reason}"
        );
    }
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn both_hosts_keep_what_must_be_encrypted() {
    let scenario = small();
    let required = Scenario {
        migration: migtax::scenario::MigrationSpec {
            policy: Policy::Required,
            ..scenario.migration.clone()
        },
        ..scenario.clone()
    };
    let mut encrypted = scenario;
    encrypted.migration.policy = Policy::Opportunistic;
    encrypted.guest.encrypted = true;
    for role in ["source", "destination"] {
        for scenario in [&required, &encrypted] {
            let (event, code) = first_word(role, &in_the_clear(scenario.clone()));
            let Event::Refused { reason } = event else {
                panic!("{role}: {event:?}");
            };
            assert!(reason.starts_with("spec.sealed = false"), "{reason}");
            assert_eq!(code, Some(2), "{role}");
        }
    }
}

//! Hosts by themselves: what they refuse, whatever a coordinator says.

use std::io::Write;
use std::process::Stdio;

use migtax::arm::Arm;
use migtax::host::{Event, HostSpec, PROTOCOL};
use migtax::scenario::{Policy, Scenario};

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

#[test]
fn both_hosts_keep_what_must_be_encrypted() {
    let mut scenario = migtax::scenario::load(None).unwrap();
    scenario.guest.memory = migtax::units::Size(4 << 20);
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

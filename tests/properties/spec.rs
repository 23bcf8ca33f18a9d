//! The control channel: a host's spec with its secret, commands, events.
//!
//! Input: what a host reads from its standard input up to the first command. What is no spec is
//! read as one command and as one event.

use std::fmt::Debug;

use migtax::crypto::MigrationSecret;
use migtax::host::control::read_spec;
use migtax::host::framing::framing;
use migtax::host::{Command, Event, HostSpec, PROTOCOL};
use migtax::scenario::MAX_RECORD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::refusal::one_line;

/// Whether the input was accepted as one of the three.
pub fn check(input: &[u8]) -> bool {
    let mut left = input;
    match read_spec(&mut left) {
        Ok((spec, secret)) => {
            let read = &input[..input.len() - left.len()];
            accepted(&spec, secret, read);
            true
        }
        Err(error) => {
            one_line(&error);
            let line = input.split(|byte| *byte == b'\n').next().unwrap_or(input);
            message::<Command>(line) | message::<Event>(line)
        }
    }
}

/// A spec reads back as written, exactly what belongs to it was read, and a spec that says
/// "sealed" never makes a data path in the clear.
fn accepted(spec: &HostSpec, secret: Option<MigrationSecret>, read: &[u8]) {
    assert_eq!(spec.protocol, PROTOCOL);
    assert_eq!(spec.sealed, secret.is_some());
    let may_go_in_the_clear = spec.arm.is_baseline() || !spec.scenario.requires_encryption();
    assert!(spec.sealed || may_go_in_the_clear, "{:?}", spec.arm);
    let mut again = serde_json::to_vec(spec).expect("specs are plain data");
    again.push(b'\n');
    let mut hex = Vec::new();
    if let Some(secret) = &secret {
        secret.write_hex_line(&mut hex).expect("a vector grows");
        let given = read[read.len() - hex.len()..].to_ascii_lowercase();
        assert_eq!(given, hex, "the secret is the line that followed");
        again.extend_from_slice(&hex);
    }
    // The next command stays where it is.
    again.extend_from_slice(b"next");
    let mut left = again.as_slice();
    let (spec_again, secret_again) = read_spec(&mut left).expect("what was written is read");
    assert_eq!(left, b"next");
    assert_eq!(&spec_again, spec);
    let mut hex_again = Vec::new();
    if let Some(secret) = secret_again {
        secret
            .write_hex_line(&mut hex_again)
            .expect("a vector grows");
    }
    assert_eq!(hex_again, hex);
    match framing(spec, secret) {
        Ok(framing) => {
            let sealed = framing.backend.has_cipher();
            assert_eq!(spec.sealed, sealed, "{:?}", spec.arm);
            assert!(framing.bounds.record <= MAX_RECORD.0 as usize);
            assert!(framing.preamble.stream < framing.preamble.streams);
            let id = framing.preamble.migration_id;
            assert_eq!(u128::from_str_radix(&spec.migration_id, 16), Ok(id));
            assert!(spec.migration_id.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        Err(error) => one_line(&error),
    }
}

fn message<T: DeserializeOwned + Serialize + PartialEq + Debug>(line: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<T>(line) else {
        return false;
    };
    let again = serde_json::to_vec(&message).expect("messages are plain data");
    assert!(!again.contains(&b'\n'), "a message is one line");
    let again: T = serde_json::from_slice(&again).expect("what was written is read");
    assert_eq!(again, message);
    true
}

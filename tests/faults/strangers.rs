//! Connections to the destination's port that are not the source's.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use migtax::arm::Arm;
use migtax::results::OutcomeStatus;
use migtax::wire::Preamble;

use crate::runs::{free_address, marker, names, scenario, start};

/// Carries every connection to the destination, after three strangers have come before it.
fn relay_behind_strangers(destination: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for source in listener.incoming().flatten() {
            // One that scans, one of an earlier migration, one that says nothing.
            let words: [&[u8]; 3] = [
                b"GET / HTTP/1.1\r\nHost: destination.test\r\nAccept: */*\r\n\r\n",
                &Preamble {
                    migration_id: 7,
                    stream: 0,
                    streams: 2,
                }
                .encode(),
                b"",
            ];
            let strangers: Vec<TcpStream> = words
                .into_iter()
                .map(|words| {
                    let mut stranger = TcpStream::connect(destination).unwrap();
                    stranger.write_all(words).unwrap();
                    stranger
                })
                .collect();
            let genuine = TcpStream::connect(destination).unwrap();
            for (mut from, mut to) in [
                (source.try_clone().unwrap(), genuine.try_clone().unwrap()),
                (genuine, source),
            ] {
                let strangers: Vec<_> = strangers.iter().map(|s| s.try_clone()).collect();
                std::thread::spawn(move || {
                    // Connections end as migrations do; strangers stay as long.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                    drop(strangers);
                });
            }
        }
    });
    address
}

#[test]
fn a_port_scan_is_no_denial_and_is_told_of() {
    let destination = free_address();
    let connect = relay_behind_strangers(destination).to_string();
    let arms = [Arm::PLAIN, Arm::RUSTCRYPTO_SOFT];
    let (names, listen) = (names(&arms), destination.to_string());
    let flags = ["--arms", &names, "--listen", &listen, "--connect", &connect];
    let run = start(&scenario("5s"), &marker(), &flags).end();
    let results = run.results.unwrap_or_else(|| panic!("{}", run.said));
    assert_eq!(results.migrations.len(), arms.len());
    for migration in &results.migrations {
        let context = format!("{}: {:?}", migration.arm, migration.outcome);
        assert_eq!(
            migration.outcome.status,
            OutcomeStatus::Completed,
            "{context}"
        );
        assert!(migration.verified.equal, "{context}");
        let mut warnings = migration.warnings.iter();
        let warning = warnings.find(|warning| warning.code == "strangers");
        let text = &warning.expect("they are told of").message;
        // Three for each of two streams.
        assert!(text.starts_with("6 connections"), "{text}");
    }
    assert!(results.warnings.iter().any(|w| w.code == "strangers"));
}

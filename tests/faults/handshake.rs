//! Handshakes with a peer that is not the one it should be, over sockets: TLS and tunnels.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use migtax::arm::Channel;
use migtax::crypto::MigrationSecret;
use migtax::machine::clock::thread_cpu_ns;
use migtax::tls::{End, Keys};
use migtax::transport::{Connection, TransportError};
use migtax::tunnel::{self, Clients, Programs, Servers, TunnelSpec};

const LIMIT: Duration = Duration::from_secs(20);

fn secret(digits: &str) -> MigrationSecret {
    let mut line = [digits.repeat(32), " ".to_owned(), "ed".repeat(8)].concat();
    // SAFETY: what is left of the text is zeros, which are UTF-8.
    MigrationSecret::from_hex_line(unsafe { line.as_bytes_mut() }).unwrap()
}

fn establish(
    end: End,
    socket: TcpStream,
    digits: &str,
    identity: &[u8],
) -> Result<Connection, TransportError> {
    let keys = Keys::new(secret(digits).tls_key().unwrap(), false);
    let connection = Connection::new(socket, 1, "peer", LIMIT).unwrap();
    connection.secured(|socket, stream, peer| keys.establish(end, socket, identity, (stream, peer)))
}

/// Both ends of a handshake.
fn both(
    client: (&'static str, &'static [u8]),
    server: (&'static str, &'static [u8]),
) -> [Result<Connection, TransportError>; 2] {
    let (near, far) = tunnel::pair().unwrap();
    let server = std::thread::spawn(move || establish(End::Server, far, server.0, server.1));
    let client = establish(End::Client, near, client.0, client.1);
    [client, server.join().unwrap()]
}

#[test]
fn tls_holds_with_the_migrations_key_and_preamble_alone() {
    let [client, server] = both(("5e", b"stream 1"), ("5e", b"stream 1"));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let message = vec![0x5a; 100_000];
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| client.send(&message).map(|()| client.sent()));
        let mut received = vec![0; message.len()];
        server.receive(&mut received, "a test").unwrap();
        assert_eq!(received, message);
        sending.join().unwrap().unwrap()
    });
    // Seven records, and the handshake.
    assert!(sent > 100_000 + 7 * 22 && sent < 102_000, "{sent}");
    assert_eq!(sent, server.received());
    let agreed = server.negotiated().unwrap();
    assert_eq!(agreed.cipher, "TLS_AES_256_GCM_SHA384");
    for (client, server) in [
        (("5e", &b"stream 1"[..]), ("5f", &b"stream 1"[..])),
        (("5e", b"stream 1"), ("5e", b"stream 2")),
    ] {
        let ends = both(client, server);
        let said: Vec<String> = ends
            .into_iter()
            .map(|end| end.expect_err("no connection").to_string())
            .collect();
        assert!(
            said[1].contains("stream 1: what came from the peer is not authentic: TLS handshake"),
            "{said:?}"
        );
        assert!(
            said[0].contains("TLS handshake") || said[0].contains("closed"),
            "{said:?}"
        );
    }
}

/// Who speaks something else than TLS, or nothing, is told of as such.
#[test]
fn what_is_no_tls_is_named() {
    let said = |bytes: &[u8]| {
        let (near, far) = tunnel::pair().unwrap();
        let mut plain = Connection::new(far, 1, "peer", LIMIT).unwrap();
        plain.send(bytes).unwrap();
        let keys = Keys::new(secret("5e").tls_key().unwrap(), false);
        let connection = Connection::new(near, 1, "peer", Duration::from_millis(100)).unwrap();
        let made = connection.secured(|socket, stream, peer| {
            keys.establish(End::Client, socket, b"stream 1", (stream, peer))
        });
        made.expect_err("no connection").to_string()
    };
    // As a record it would be 23130 bytes long.
    let noise = said(&[0x5a; 24_000]);
    assert!(noise.contains("not authentic: TLS handshake"), "{noise}");
    let silence = said(&[]);
    let expected =
        "stream 1: the peer was silent for 100 ms while its part in the TLS handshake was awaited";
    assert_eq!(silence, expected);
}

/// What this side can't do is no attack: an identity must not be empty.
#[test]
fn a_failure_of_this_side_is_told_as_one() {
    let (near, _far) = tunnel::pair().unwrap();
    let said = establish(End::Client, near, "5e", b"").expect_err("no connection");
    let said = said.to_string();
    assert!(
        said.starts_with("stream 1: TLS handshake with the peer: setting up TLS: "),
        "{said}"
    );
}

/// A peer that is never silent and never done is given up as one that is.
#[test]
fn a_handshake_in_drips_ends_in_time() {
    let (near, mut far) = tunnel::pair().unwrap();
    let limit = Duration::from_millis(200);
    let dripping = std::thread::spawn(move || {
        // The head of a record of 16 KiB, and its first bytes, until nobody takes them.
        let head = [0x16, 3, 3, 0x40, 0];
        let bytes = head.into_iter().chain(std::iter::repeat(0));
        for byte in bytes.take(16 << 10) {
            if far.write_all(&[byte]).is_err() {
                return true;
            }
            std::thread::sleep(limit / 20);
        }
        false
    });
    let keys = Keys::new(secret("5e").tls_key().unwrap(), false);
    let connection = Connection::new(near, 1, "peer", limit).unwrap();
    let made = connection.secured(|socket, stream, peer| {
        keys.establish(End::Client, socket, b"stream 1", (stream, peer))
    });
    let expected =
        "stream 1: the peer was silent for 200 ms while its part in the TLS handshake was awaited";
    assert_eq!(made.expect_err("no connection").to_string(), expected);
    assert!(dripping.join().unwrap(), "it ended before the record did");
}

/// What is done between sending, such as waiting for a link, is no part of sealing.
#[test]
fn sealing_is_told_from_what_surrounds_it() {
    let [client, server] = both(("5e", b"stream 1"), ("5e", b"stream 1"));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let message = vec![0x5a; 1 << 20];
    let received = std::thread::spawn(move || {
        let mut received = vec![0; 1 << 20];
        server.receive(&mut received, "a test").map(|()| received)
    });
    let sends = client.calls().sends;
    client.watch(true);
    let began = thread_cpu_ns();
    while thread_cpu_ns() - began < 200_000_000 {
        std::hint::spin_loop();
    }
    client.send(&message).unwrap();
    let spent = thread_cpu_ns() - began;
    let of = client.watch(false).unwrap();
    let sends = client.calls().sends - sends;
    assert_eq!(received.join().unwrap().unwrap(), message);
    let told = of.sealing.ns + of.socket.ns;
    assert!(of.sealing.ns > 0 && of.socket.ns > 0, "{of:?}");
    assert!(told <= spent - 200_000_000, "{of:?} of {spent} ns");
    // Around each call of either.
    assert_eq!((of.socket.pairs, of.sealing.pairs), (sends, sends + 1));
}

fn make_keys(programs: &Programs, folder: &Path) -> [String; 2] {
    let public = |name: &str| {
        let made = Command::new(programs.keygen.as_ref().unwrap())
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
            .arg(folder.join(name))
            .status();
        assert!(made.unwrap().success());
        std::fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap()
    };
    [public(tunnel::HOST_KEY), public(tunnel::USER_KEY)]
}

/// A server with another key than the client knows, and a user whom the server does not: neither gets
/// through, and the client says why.
#[test]
fn ssh_lets_through_the_migrations_keys_alone() {
    let programs = match Programs::find(Channel::Ssh) {
        Ok(programs) => programs,
        Err(missing) => {
            eprintln!("skipped: {missing}");
            return;
        }
    };
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let folder = tempfile::tempdir().unwrap();
    let [host, own] = make_keys(&programs, folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let [other_host, other_user] = make_keys(&programs, elsewhere.path());
    let spec = TunnelSpec {
        folder: folder.path().to_owned(),
        user: String::from_utf8(user).unwrap().trim().to_owned(),
        cipher: None,
        client: programs.client,
        server: programs.server,
    };
    let target = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap();
    let servers = Servers::start(Channel::Ssh, &spec, address, 3).unwrap();
    for (known, authorized, complaint) in [
        (&host, &own, None),
        (&other_host, &own, Some("Host key verification failed")),
        (&host, &other_user, Some("Permission denied (publickey)")),
    ] {
        let known = format!("{} {known}", tunnel::HOST_ALIAS);
        std::fs::write(folder.path().join(tunnel::KNOWN), known).unwrap();
        std::fs::write(folder.path().join(tunnel::AUTHORIZED), authorized).unwrap();
        let mut clients = Clients::new(Channel::Ssh, &spec, servers.address(), address);
        let mut near = clients.connect().unwrap();
        near.set_read_timeout(Some(LIMIT)).unwrap();
        match complaint {
            None => {
                let (far, from) = target.accept().unwrap();
                assert!(from.ip().is_loopback());
                drop(far);
                // The end comes through, too.
                assert_eq!(near.read(&mut [0]).unwrap(), 0);
                assert_eq!(clients.negotiated().protocol, "SSH-2.0");
            }
            Some(complaint) => {
                assert_eq!(near.read(&mut [0]).unwrap_or(0), 0);
                let said = clients.complaint().unwrap_or_default();
                assert!(said.contains(complaint), "{said}");
            }
        }
    }
}

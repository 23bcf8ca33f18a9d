//! What the programs of a tunnel are told, and what they log.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::arm::Channel;
use crate::error::{Error, Result};

/// The name under which the client knows the server's key, whatever its port.
pub const HOST_ALIAS: &str = "migtax";
/// The file with the server's key; with `.pub`, its public half. All are OpenSSH's and in the folder.
pub const HOST_KEY: &str = "host_key";
/// The file with the user's key.
pub const USER_KEY: &str = "user_key";
/// The file with the keys that the server lets in.
pub const AUTHORIZED: &str = "authorized_keys";
/// The file with the servers' keys that the client knows.
pub const KNOWN: &str = "known_hosts";

/// What the hosts must know of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunnelSpec {
    /// The folder with the keys of both sides.
    pub folder: PathBuf,
    /// Who logs in to the destination: who runs the hosts. Empty for stunnel, where nobody does.
    pub user: String,
    /// OpenSSH's cipher; its own negotiation decides without.
    pub cipher: Option<String>,
    /// The program of the source's side.
    pub client: PathBuf,
    /// The program of the destination's side.
    pub server: PathBuf,
}

fn path(spec: &TunnelSpec, name: &str) -> String {
    spec.folder.join(name).display().to_string()
}

fn client_log(spec: &TunnelSpec, number: usize) -> String {
    path(spec, &format!("client-{number}.log"))
}

/// Options as `-o NAME=VALUE`.
fn options(all: &[(&str, String)]) -> Vec<String> {
    all.iter()
        .flat_map(|(name, value)| ["-o".to_owned(), format!("{name}={value}")])
        .collect()
}

/// An OpenSSH client that connects its standard input and output to the target.
pub(super) fn ssh(
    spec: &TunnelSpec,
    number: usize,
    server: SocketAddr,
    target: SocketAddr,
) -> Vec<String> {
    let word = |word: &str| word.to_owned();
    let mut all = vec![
        word("-v"),
        word("-E"),
        client_log(spec, number),
        word("-F"),
        word("/dev/null"),
        word("-T"),
    ];
    all.extend(options(&[
        ("BatchMode", word("yes")),
        ("IdentityFile", path(spec, USER_KEY)),
        ("IdentitiesOnly", word("yes")),
        ("IdentityAgent", word("none")),
        ("UserKnownHostsFile", path(spec, KNOWN)),
        ("GlobalKnownHostsFile", word("/dev/null")),
        ("HostKeyAlias", word(HOST_ALIAS)),
        ("StrictHostKeyChecking", word("yes")),
        ("PreferredAuthentications", word("publickey")),
        ("Compression", word("no")),
        ("ControlPath", word("none")),
    ]));
    if let Some(cipher) = &spec.cipher {
        all.extend([word("-c"), cipher.clone()]);
    }
    all.extend([
        word("-p"),
        server.port().to_string(),
        word("-l"),
        spec.user.clone(),
        word("-W"),
        target.to_string(),
        server.ip().to_string(),
    ]);
    all
}

/// An OpenSSH server for one connection, which may reach the target and do nothing else.
pub(super) fn sshd(spec: &TunnelSpec, number: usize, target: SocketAddr) -> Vec<String> {
    let word = |word: &str| word.to_owned();
    let log = path(spec, &format!("server-{number}.log"));
    let mut all = vec![word("-i"), word("-E"), log, word("-f"), word("/dev/null")];
    all.extend(options(&[
        ("HostKey", path(spec, HOST_KEY)),
        ("AuthorizedKeysFile", path(spec, AUTHORIZED)),
        // The folder is private; what it lies in belongs to everybody.
        ("StrictModes", word("no")),
        ("AllowUsers", spec.user.clone()),
        ("PermitRootLogin", word("prohibit-password")),
        ("AuthenticationMethods", word("publickey")),
        ("UsePAM", word("no")),
        ("AllowTcpForwarding", word("local")),
        ("PermitOpen", target.to_string()),
        ("AllowAgentForwarding", word("no")),
        ("X11Forwarding", word("no")),
        ("PermitTTY", word("no")),
        ("PermitUserRC", word("no")),
        ("ForceCommand", word("/bin/false")),
        ("Compression", word("no")),
        ("UseDNS", word("no")),
        ("PidFile", word("none")),
    ]));
    // Of itself it offers fewer ciphers than it has.
    let cipher = spec.cipher.iter();
    all.extend(cipher.flat_map(|cipher| options(&[("Ciphers", cipher.clone())])));
    all
}

/// A stunnel that encrypts its standard input and output to the server.
pub(super) fn stunnel_client(
    spec: &TunnelSpec,
    number: usize,
    server: SocketAddr,
) -> Result<Vec<String>> {
    let credentials = path(spec, "source");
    let own = format!(
        "client = yes\nconnect = {server}\ncert = {credentials}/client-cert.pem\n\
         key = {credentials}/client-key.pem\nCAfile = {credentials}/ca-cert.pem\ncheckHost = localhost\n"
    );
    stunnel(spec, &format!("client-{number}"), &own)
}

/// A stunnel that decrypts its standard input and output to the target.
pub(super) fn stunnel_server(
    spec: &TunnelSpec,
    number: usize,
    target: SocketAddr,
) -> Result<Vec<String>> {
    let credentials = path(spec, "destination");
    let own = format!(
        "connect = {target}\ncert = {credentials}/server-cert.pem\n\
         key = {credentials}/server-key.pem\nCAfile = {credentials}/ca-cert.pem\n"
    );
    stunnel(spec, &format!("server-{number}"), &own)
}

/// Writes a configuration of one service without a name, as inetd has it.
fn stunnel(spec: &TunnelSpec, name: &str, own: &str) -> Result<Vec<String>> {
    let log = path(spec, &format!("{name}.log"));
    let text = format!(
        "foreground = yes\nsyslog = no\ndebug = info\noutput = {log}\nsocket = l:TCP_NODELAY=1\n\
         socket = r:TCP_NODELAY=1\nsslVersion = TLSv1.3\nciphersuites = TLS_AES_256_GCM_SHA384\n\
         verifyChain = yes\n{own}"
    );
    let file = spec.folder.join(format!("{name}.conf"));
    fs::write(&file, text).map_err(|error| Error::writing(&file, error))?;
    Ok(vec![file.display().to_string()])
}

/// Protocol and cipher, from the first client's log; empty where it does not tell.
pub(super) fn agreed(channel: Channel, spec: &TunnelSpec) -> (String, String) {
    let log = fs::read_to_string(client_log(spec, 0)).unwrap_or_default();
    let found = match channel {
        Channel::Stunnel => stunnels_agreement(&log),
        _ => opensshs_agreement(&log),
    };
    found.unwrap_or_default()
}

/// `debug1: kex: client->server cipher: NAME MAC: ...`
fn opensshs_agreement(log: &str) -> Option<(String, String)> {
    let line = log
        .lines()
        .find(|line| line.contains("kex: client->server cipher: "))?;
    let (_, rest) = line.split_once("cipher: ")?;
    let cipher = rest.split_whitespace().next()?;
    Some(("SSH-2.0".to_owned(), cipher.to_owned()))
}

/// `LOG6[0]: TLSv1.3 ciphersuite: NAME (256-bit encryption)`
fn stunnels_agreement(log: &str) -> Option<(String, String)> {
    let line = log.lines().find(|line| line.contains(" ciphersuite: "))?;
    let (before, rest) = line.split_once(" ciphersuite: ")?;
    let protocol = before.split_whitespace().last()?;
    let cipher = rest.split_whitespace().next()?;
    Some((protocol.to_owned(), cipher.to_owned()))
}

/// How lines begin that OpenSSH's client logs and that are no complaint.
const CHATTER: &[&str] = &[
    "debug",
    "OpenSSH",
    "Authenticated to ",
    "Transferred: ",
    "Bytes per second: ",
];

/// What lines hold in which a server says why it let nobody in.
const REFUSALS: &[&str] = &["not allowed because", "error:", "fatal:", "LOG3["];

/// The last line of a client's log that is a complaint.
pub(super) fn complaint(channel: Channel, spec: &TunnelSpec, number: usize) -> Option<String> {
    let log = fs::read_to_string(client_log(spec, number)).ok()?;
    last(&log, |line| match channel {
        Channel::Stunnel => ["LOG3", "LOG4"].iter().any(|level| line.contains(level)),
        _ => !line.is_empty() && !CHATTER.iter().any(|start| line.starts_with(start)),
    })
}

/// The last refusal in a server's log, of the newest server that has one.
pub(super) fn servers_complaint(spec: &TunnelSpec) -> Option<String> {
    let number = |entry: &fs::DirEntry| -> Option<usize> {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("server-")?
            .strip_suffix(".log")?
            .parse()
            .ok()
    };
    let entries = fs::read_dir(&spec.folder).ok()?.flatten();
    let mut logs: Vec<_> = entries
        .filter_map(|entry| Some((number(&entry)?, entry.path())))
        .collect();
    logs.sort_unstable_by(|one, other| other.cmp(one));
    logs.iter().find_map(|(_, path)| {
        let log = fs::read_to_string(path).ok()?;
        last(&log, |line| REFUSALS.iter().any(|word| line.contains(word)))
    })
}

/// The last line of a kind, without what stunnel puts before each.
fn last(log: &str, is_one: impl Fn(&str) -> bool) -> Option<String> {
    let line = log.lines().map(str::trim).rfind(|line| is_one(line))?;
    let line = line.split_once("]: ").map_or(line, |(_, rest)| rest);
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_on_is_read_from_the_logs() {
        let ssh = "debug1: kex: algorithm: sntrup761x25519-sha512@openssh.com\r\n\
                   debug1: kex: server->client cipher: aes128-ctr MAC: umac compression: none\r\n\
                   debug1: kex: client->server cipher: aes256-gcm@openssh.com MAC: <implicit> compression: none\r\n";
        let agreed = opensshs_agreement(ssh).unwrap();
        assert_eq!(agreed, ("SSH-2.0".into(), "aes256-gcm@openssh.com".into()));
        let stunnel = "2026.11.30 14:00:00 LOG6[ui]: Peer certificate required\n\
                       2026.11.30 14:00:00 LOG6[ui]: TLSv1.3 ciphersuite: TLS_AES_256_GCM_SHA384 (256-bit encryption)\n";
        let agreed = stunnels_agreement(stunnel).unwrap();
        assert_eq!(agreed, ("TLSv1.3".into(), "TLS_AES_256_GCM_SHA384".into()));
        assert_eq!(opensshs_agreement(stunnel), None);
        assert_eq!(stunnels_agreement(ssh), None);
    }

    fn spec(folder: &tempfile::TempDir) -> TunnelSpec {
        TunnelSpec {
            folder: folder.path().to_owned(),
            user: "nobody".to_owned(),
            cipher: Some("aes256-cbc".to_owned()),
            client: PathBuf::new(),
            server: PathBuf::new(),
        }
    }

    #[test]
    fn a_cipher_is_told_to_both_sides() {
        let spec = spec(&tempfile::tempdir().unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let client = ssh(&spec, 0, address, address);
        let server = sshd(&spec, 0, address);
        assert!(client.windows(2).any(|two| two == ["-c", "aes256-cbc"]));
        let told = ["-o", "Ciphers=aes256-cbc"];
        assert!(server.windows(2).any(|two| two == told), "{server:?}");
    }

    #[test]
    fn a_complaint_is_what_stood_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(&folder);
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "client-0.log",
            "OpenSSH_9.2p1 Debian\r\n\
             Authenticated to 127.0.0.1 ([127.0.0.1]:4242) using \"publickey\".\r\n\
             debug1: channel 0: free: direct-tcpip\r\n\
             Transferred: sent 2500, received 2600 bytes, in 0.0 seconds\r\n\
             Bytes per second: sent 50.0, received 60.0\r\n\
             debug1: Exit status -1\r\n",
        );
        assert_eq!(complaint(Channel::Ssh, &spec, 0), None);
        write(
            "client-1.log",
            "debug1: Authentications that can continue: publickey\r\n\
             nobody@127.0.0.1: Permission denied (publickey).\r\n",
        );
        assert_eq!(
            complaint(Channel::Ssh, &spec, 1).as_deref(),
            Some("nobody@127.0.0.1: Permission denied (publickey).")
        );
        assert_eq!(servers_complaint(&spec), None);
        let refusal = "User nobody from 127.0.0.1 not allowed because account is locked";
        write(
            "server-2.log",
            &format!("{refusal}\r\nConnection closed\r\n"),
        );
        write(
            "server-10.log",
            "Connection closed by 127.0.0.1 port 4242\r\n",
        );
        assert_eq!(servers_complaint(&spec).as_deref(), Some(refusal));
        write(
            "server-11.log",
            "2026.11.30 14:00:00 LOG3[0]: SSL_accept: unexpected eof\n\
             2026.11.30 14:00:00 LOG5[0]: Connection reset\n",
        );
        let newest = servers_complaint(&spec);
        assert_eq!(newest.as_deref(), Some("SSL_accept: unexpected eof"));
    }
}

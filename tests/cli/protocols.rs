//! The arms whose streams go through TLS or a tunnel: the same migration as `plain`, protected.

use migtax::arm::{Arm, Channel};
use migtax::results::{Migration, OutcomeStatus, PolicyDecision, Results};

use crate::command::{Outcome, migtax, run, scenario_file};
use crate::migration::VIRTUAL;

fn arms() -> Vec<Arm> {
    Arm::hosted()
        .filter(|arm| arm.channel().is_some())
        .collect()
}

fn names(arms: &[Arm]) -> String {
    let names: Vec<&str> = arms.iter().map(|arm| arm.name()).collect();
    format!("plain,aws-lc,{}", names.join(","))
}

/// Those that ran; the others are named aloud, with what they lack.
fn ran(results: &Results) -> Vec<Arm> {
    let info = |arm: &Arm| results.arms.iter().find(|info| info.name == *arm).unwrap();
    let is_run = |arm: &Arm| {
        let info = info(arm);
        if !info.supported {
            let reason = info.reason.as_deref().unwrap();
            eprintln!("skipped: {arm}: {reason}");
            assert_eq!(
                info.policy_decision,
                PolicyDecision::Unsupported,
                "{arm}: {reason}"
            );
        }
        info.supported
    };
    arms().into_iter().filter(is_run).collect()
}

/// Rounds, pages, records and memory are those of `plain`; what is below the records is not.
#[test]
fn what_protects_the_streams_changes_no_count_but_its_own_bytes() {
    for streams in ["1", "3"] {
        let flags = ["--streams", streams, "--arms", &names(&arms())];
        let Outcome { code, results } = run(VIRTUAL, &flags);
        assert_eq!(code, 0);
        let of = |arm: Arm| results.migrations.iter().filter(move |m| m.arm == arm);
        let plain = of(Arm::PLAIN).next().unwrap();
        let counts = |m: &Migration| {
            let rounds = m.rounds.iter();
            let rounds: Vec<_> = rounds
                .map(|r| (r.pages_sent, r.zero_pages, r.pages_dirtied))
                .collect();
            (m.records, rounds, m.verified.source_hash.clone())
        };
        for arm in ran(&results) {
            let made: Vec<&Migration> = of(arm).collect();
            assert_eq!(made.len(), 2);
            for m in &made {
                assert_eq!(
                    m.outcome.status,
                    OutcomeStatus::Completed,
                    "{arm}: {:?}",
                    m.outcome
                );
                assert_eq!(counts(m), counts(plain), "{arm}");
                assert_eq!(m.bytes_on_wire, made[0].bytes_on_wire, "{arm}");
                check(m, plain);
            }
        }
    }
}

fn check(m: &Migration, plain: &Migration) {
    let context = format!("{}: {:?}", m.arm, m.channel);
    let channel = m.channel.as_ref().expect(&context);
    assert!(
        channel.handshake_s > 0.0 && channel.handshake_s < m.setup_time_s,
        "{context}"
    );
    let (protocol, cipher) = (channel.protocol.as_str(), channel.cipher.as_str());
    let is_tunnel = m.arm.is_tunnel();
    match m.arm.channel() {
        Some(Channel::Ssh) => {
            assert_eq!(protocol, "SSH-2.0", "{context}");
            assert!(!cipher.is_empty(), "{context}");
        }
        _ => assert_eq!(
            (protocol, cipher),
            ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
            "{context}"
        ),
    }
    let (source, destination) = (&m.cpu.source, &m.cpu.destination);
    assert_eq!(source.stages.is_some(), m.arm.has_stages(), "{context}");
    assert_eq!(
        destination.stages.is_some(),
        m.arm.has_stages(),
        "{context}"
    );
    for tunnel_s in [source.tunnel_s, destination.tunnel_s] {
        assert_eq!(tunnel_s.is_some(), is_tunnel, "{context}");
    }
    if is_tunnel {
        // What tunnels add to the stream is theirs to know.
        assert_eq!(m.bytes_on_wire, plain.bytes_on_wire, "{context}");
        assert!(source.tunnel_s.unwrap() > 0.0 && source.tunnel_s.unwrap() < source.total_s);
        assert!(
            destination.tunnel_s.unwrap() > 0.0
                && destination.tunnel_s.unwrap() < destination.total_s
        );
    } else {
        // 22 bytes a record of 16 KiB at most, and the handshake.
        let beyond = m.bytes_on_wire - plain.bytes_on_wire;
        let least = m.payload_bytes.div_ceil(16 << 10) * 22;
        assert!(
            beyond >= least && beyond < 3 * least + 64_000,
            "{context}: {beyond}, {least}"
        );
    }
    if let (Some(source), Some(destination)) = (source.stages, destination.stages) {
        assert!(
            source.seal_s > 0.0 && source.transmit_s > 0.0,
            "{context}: {source:?}"
        );
        assert!(
            destination.open_s > 0.0 && destination.receive_s > 0.0,
            "{context}: {destination:?}"
        );
    }
}

/// Refused in one line with these words, and no run folder made.
fn refused(text: &str, arms: &str, flags: &[&str], words: &[&str]) {
    let (folder, path) = scenario_file(text);
    let out = folder.path().join("run");
    let output = migtax()
        .args(["run", &path, "--arms", arms])
        .args(flags)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        words.iter().all(|word| said.contains(word)),
        "{words:?}: {said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!out.exists());
}

#[test]
fn opensshs_cipher_is_a_scenarios_to_choose() {
    let with = |cipher: &str| {
        let text = format!("{VIRTUAL}[tunnel]\nssh_cipher = \"{cipher}\"\n");
        run(&text, &["--arms", "plain,ssh", "--reps", "1"])
    };
    if migtax::tunnel::lacks(Channel::Ssh).is_some() {
        eprintln!("skipped: ssh: {:?}", migtax::tunnel::lacks(Channel::Ssh));
        return;
    }
    // The last is none that servers offer of themselves.
    for cipher in [
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
        "aes256-cbc",
    ] {
        if migtax::tunnel::check_cipher(cipher).is_err() {
            eprintln!("skipped: {cipher}: this OpenSSH has it not");
            continue;
        }
        let made = with(cipher);
        let ssh = made.results.migrations.iter().find(|m| m.arm == Arm::SSH);
        assert_eq!(ssh.unwrap().channel.as_ref().unwrap().cipher, cipher);
    }
}

#[test]
fn what_a_tunnel_can_not_do_is_refused_by_name_before_anything_starts() {
    let refused =
        |text: &str, flags: &[&str], words: &[&str]| refused(text, "plain,ssh", flags, words);
    let elsewhere = ["--destination", "migtax", "--listen", "127.0.0.1:0"];
    refused(
        VIRTUAL,
        &elsewhere,
        &["--destination", "ssh", "this machine"],
    );
    refused(
        VIRTUAL,
        &["--listen", "127.0.0.2:0"],
        &["--listen", "127.0.0.2:0", "ssh", "127.0.0.1"],
    );
    refused(
        VIRTUAL,
        &["--clock", "live", "--rtt", "10ms"],
        &["migration.rtt", "10ms", "ssh"],
    );
    let cipher = |name: &str| format!("{VIRTUAL}[tunnel]\nssh_cipher = \"{name}\"\n");
    refused(
        &cipher("-oProxyCommand=x"),
        &[],
        &["tunnel.ssh_cipher", "-oProxyCommand=x"],
    );
    refused(&cipher(""), &[], &["tunnel.ssh_cipher"]);
    if migtax::tunnel::lacks(Channel::Ssh).is_some() {
        eprintln!("skipped: the ciphers of ssh: no OpenSSH here");
        return;
    }
    refused(
        &cipher("rot13"),
        &[],
        &["tunnel.ssh_cipher", "rot13", "aes256-gcm@openssh.com"],
    );
}

#[test]
fn policy_holds_for_what_is_protected_below_its_records() {
    let arms = names(&arms());
    let flags = [
        "--arms",
        &arms,
        "--policy",
        "required",
        "--reps",
        "1",
        "--allow-software",
    ];
    let Outcome { results, .. } = run(VIRTUAL, &flags);
    for arm in ran(&results) {
        let info = results.arms.iter().find(|info| info.name == arm).unwrap();
        let decision = info.policy_decision;
        assert_eq!(decision, PolicyDecision::Encrypted, "{arm}");
        assert!(results.migrations.iter().any(|m| m.arm == arm), "{arm}");
    }
}

#[test]
fn what_policy_forbids_below_the_records_is_refused_by_name_before_anything_starts() {
    for arm in arms() {
        let both = format!("plain,{arm}");
        let words = ["migration.policy", "disabled", arm.name(), "opportunistic"];
        refused(VIRTUAL, &both, &["--policy", "disabled"], &words);
    }
}

/// Nothing of a tunnel is left: no key, no process.
#[test]
fn nothing_is_left_of_a_tunnel() {
    let folders = || -> Vec<String> {
        let all = std::fs::read_dir("/dev/shm")
            .into_iter()
            .flatten()
            .flatten();
        let names = all.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("migtax-")).collect()
    };
    let before = folders();
    let Outcome { results, .. } = run(VIRTUAL, &["--arms", "plain,ssh,stunnel", "--reps", "1"]);
    let made = results.migrations.iter();
    assert!(
        made.clone()
            .all(|m| m.outcome.status == OutcomeStatus::Completed)
    );
    // Other tests run beside this one.
    let mut left = folders();
    left.retain(|name| !before.contains(name));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while left
        .iter()
        .any(|name| std::path::Path::new("/dev/shm").join(name).exists())
    {
        assert!(std::time::Instant::now() < deadline, "{left:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

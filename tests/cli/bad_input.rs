//! Bad input: one line that names field, value and what is allowed; exit code 2; nothing started.

use std::process::Output;

use crate::command::{migtax, scenario_file};

/// Holds if a command ended with exit code 2, said all of these words in one line and printed nothing.
pub fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(output.stdout.is_empty());
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "\"{word}\" is not in: {said}");
    }
}

#[test]
fn impossible_flags() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["--arms", "plain,aes"], &["aes", "rustcrypto-soft"]),
        (&["--arms", "plain,plain"], &["arms", "plain"]),
        (&["--memory", "4"], &["4", "KiB"]),
        (&["--memory", "0GiB"], &["memory", "0"]),
        (
            &["--memory", "900GiB"],
            &["guest.memory", "900GiB", "this machine has"],
        ),
        (&["--memory", "60TiB"], &["guest.memory", "60TiB"]),
        (&["--memory", "5000B"], &["memory", "5000B"]),
        (&["--rate", "150MiB"], &["150MiB", "MiB/s"]),
        (&["--streams", "0"], &["streams", "0", "64"]),
        (&["--streams", "65"], &["streams", "65", "64"]),
        (&["--record", "2KiB"], &["record", "2KiB", "4KiB"]),
        (&["--record", "32MiB"], &["record", "32MiB", "16MiB"]),
        (&["--tracker", "kvm2"], &["kvm2", "userfaultfd"]),
        (&["--clock", "wall"], &["wall", "virtual"]),
        (
            &["--clock", "virtual", "--link", "unlimited"],
            &["link", "unlimited", "virtual"],
        ),
        (&["--link", "10GB/s"], &["10GB/s", "Gbit/s"]),
        (&["--rtt", "10"], &["10", "ms"]),
        (&["--rtt", "0ms"], &["migration.rtt", "above 0, up to 1s"]),
        (&["--rtt", "2s"], &["migration.rtt = 2s", "up to 1s"]),
        (
            &["--rtt", "1ms", "--clock", "virtual"],
            &["migration.rtt", "virtual clock"],
        ),
        (
            &["--rtt", "1ms", "--arms", "plain,qemu-plain"],
            &["migration.rtt", "qemu-*"],
        ),
        (
            &["--link", "10Mbit/s", "--record", "16MiB"],
            &["record", "16MiB", "10Mbit/s", "peer_timeout", "13.42 s"],
        ),
        (
            &[
                "--arms",
                "plain,qemu-tls",
                "--destination",
                "migtax",
                "--listen",
                "127.0.0.1:0",
            ],
            &["--destination", "qemu-tls", "this machine"],
        ),
        (
            &["--arms", "qemu-plain", "--memory", "600GiB"],
            &["guest.memory", "600GiB", "at most", "qemu-plain"],
        ),
        (
            &[
                "--arms",
                "qemu-plain",
                "--clock",
                "virtual",
                "--link",
                "10Gbit/s",
            ],
            &["measure.clock", "virtual", "qemu-plain", "live"],
        ),
        (&["--link", "0Gbit/s"], &["0Gbit/s"]),
        (&["--downtime-limit", "300"], &["300", "ms"]),
        (&["--policy", "always"], &["always", "opportunistic"]),
        (&["--reps", "0"], &["repetitions", "0"]),
        (&["--pin", "source=9999"], &["9999"]),
        (&["--pin", "guest=0"], &["guest=0", "source"]),
        (&["--nonsense"], &["--nonsense"]),
        (&["no-such-scenario"], &["no-such-scenario", "default"]),
        (&["no/such/file.toml"], &["no/such/file.toml"]),
    ];
    for (flags, words) in cases {
        let place = tempfile::tempdir().unwrap();
        for out in [&["--out", "run"][..], &[]] {
            let mut command = migtax();
            command.current_dir(place.path()).arg("run").args(*flags);
            refused(&command.args(out).output().unwrap(), words);
            let left = std::fs::read_dir(place.path()).unwrap().count();
            assert_eq!(left, 0, "{flags:?} left a folder");
        }
    }
}

/// Which values are refused, and how, stands in the tests of scenarios; here that nothing starts.
#[test]
fn impossible_scenarios() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["name"]),
        (
            "name = \"x\"\n[guest]\nmemroy = \"1GiB\"",
            &["memroy", "memory"],
        ),
        (
            "name = \"x\"\n[migration]\nrecord = \"5KiB\"",
            &["migration.record", "5KiB"],
        ),
        ("name = \"x\"\n[guest", &["line 2"]),
    ];
    for (text, words) in cases {
        let (_folder, path) = scenario_file(text);
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join("run");
        let output = migtax()
            .args(["run", &path, "--out"])
            .arg(&folder)
            .output()
            .unwrap();
        refused(&output, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("scenario.toml"),
            "the file is not named: {said}"
        );
        assert!(!folder.exists());
    }
}

#[test]
fn a_host_refuses_what_is_no_spec() {
    for spec in ["", "{}\n", "not json\n"] {
        let mut child = migtax()
            .args(["host", "source"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), spec.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stdout).contains("refused"));
        assert!(String::from_utf8_lossy(&output.stderr).contains("spec"));
    }
}

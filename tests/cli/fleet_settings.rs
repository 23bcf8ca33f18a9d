//! What a fleet may be, and what its guests' encryption settings make of them.

use std::fs;

use migtax::arm::Arm;
use migtax::fleet::{Way, file};
use migtax::results::PolicyDecision;
use migtax::runner::Place;

use crate::command::migtax;
use crate::fleet::{FLEET, assert_arrived, fleet, only, run, written};

#[test]
fn hosts_without_aes_instructions_leave_behind_what_must_be_encrypted() {
    let run = run(FLEET, &["--hide-aes", "both"]);
    assert_eq!(run.code(), Some(6), "{}", run.said());
    let file = run.file();
    assert!(
        file.not_run[&Way::All(Arm::AWS_LC)].contains("lacks aes"),
        "{:?}",
        file.not_run
    );
    let made = only(&file, Way::Configured);
    for moved in &made.guests {
        let expected = match moved.guest.as_str() {
            "db" => (PolicyDecision::Refused, Place::Source),
            "lab" => (PolicyDecision::Disabled, Place::Destination),
            _ => (PolicyDecision::FallbackPlain, Place::Destination),
        };
        assert_eq!((moved.policy_decision, moved.place), expected, "{moved:?}");
        assert!(!moved.sealed);
    }
    assert!(only(&file, Way::PLAIN).left_behind().next().is_none());
}

#[test]
fn guests_take_their_disks_along() {
    let disk = "storage = { size = \"3MiB\", rate = \"4MiB/s\" }\nguest = { memory = \"4MiB\"";
    let text = FLEET.replacen("guest = { memory = \"4MiB\"", disk, 1);
    let moved = run(&text, &["--ways", "plain,configured"]);
    assert_eq!(moved.code(), Some(0), "{}", moved.said());
    let file = moved.file();
    for way in [Way::PLAIN, Way::Configured] {
        for moved in &only(&file, way).guests {
            assert_arrived(moved);
            let has_disk = moved.guest.starts_with("web");
            assert_eq!(moved.disk_copy_s.is_some(), has_disk, "{moved:?}");
            assert!(!has_disk || moved.payload_bytes > 5 << 20, "{moved:?}");
        }
    }
    let text = text.replace("\"3MiB\"", "\"16TiB\"");
    let refused = run(&text, &[]);
    assert_eq!(refused.code(), Some(2), "{}", refused.said());
    let said = refused.said();
    assert!(said.contains("of disks on 2 hosts: disks need "), "{said}");
    assert!(
        !refused.out().exists() && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn an_inventory_leaves_as_it_is_listed() {
    let (folder, path) = written(FLEET);
    let vms = folder.path().join("vms.csv");
    fs::write(
        &vms,
        "name,memory,rate,vcpus\nmail,4MiB,0MiB/s,1\nfiles,2MiB,1MiB/s,2\n",
    )
    .unwrap();
    let out = folder.path().join("out");
    let flags = ["--ways", "plain", "--vms", vms.to_str().unwrap()];
    let output = fleet(&path, &out, &flags).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = file::read(&out).unwrap();
    let names: Vec<&str> = file
        .fleet
        .guests
        .iter()
        .map(|guest| guest.name.as_str())
        .collect();
    assert_eq!(names, ["mail", "files"]);
    only(&file, Way::PLAIN)
        .guests
        .iter()
        .for_each(assert_arrived);
    // As a group of a fleet, with a policy; its link is the fleet's.
    let text = "name = \"v\"\n[[guests]]\nvms = \"vms.csv\"\nencryption = \"required\"\n";
    let of = |text: &str| migtax::fleet::load::parse(text, "v", Some(folder.path()));
    let guests = of(text).unwrap().guests;
    assert!(
        guests
            .iter()
            .all(|guest| guest.scenario.requires_encryption())
    );
    assert_ne!(guests[0].scenario.guest.seed, guests[1].scenario.guest.seed);
    fs::write(&vms, "name,memory,rate,link\nmail,4MiB,0MiB/s,1Gbit/s\n").unwrap();
    let error = of(text).unwrap_err().to_string();
    assert!(
        error.contains("mail") && error.contains("evacuation.link"),
        "{error}"
    );
}

#[test]
fn what_can_not_be_is_refused_before_anything_starts() {
    let changed = |from: &str, to: &str| {
        assert!(FLEET.contains(from), "{from}");
        FLEET.replacen(from, to, 1)
    };
    let guest = |text: &str| format!("name = \"x\"\n[[guests]]\nname = \"a\"\n{text}");
    for (text, flags, expected) in [
        ("name = \"x\"".to_owned(), &[][..], "guests = 0: 1 to 1000"),
        (
            changed("concurrent = 2", "speed = 2"),
            &[],
            "evacuation.speed: unknown field",
        ),
        (guest("colour = 1"), &[], "guests[0].colour: unknown field"),
        (
            guest("guest = { colour = 1 }"),
            &[],
            "guests[0] (a): guest.colour: unknown field",
        ),
        (
            changed("name = \"lab\"", "name = \"db\""),
            &[],
            "guests.name = \"db\": a name of its own",
        ),
        (
            changed(
                "encrypted = true",
                "encrypted = true\nencryption = \"disabled\"",
            ),
            &[],
            "db: encryption = disabled: an encrypted guest",
        ),
        (guest("count = 0"), &[], "count = 0: 1 to 1000"),
        (
            guest("scenario = \"nowhere\""),
            &[],
            "there is no scenario \"nowhere\"",
        ),
        (guest("scenario = \"dirty-rates\""), &[], "a matrix"),
        (
            guest("migration = { link = \"1Gbit/s\" }"),
            &[],
            "migration.link",
        ),
        (
            changed(
                "[evacuation]",
                "source = { memory = \"17MiB\" }\n[evacuation]",
            ),
            &[],
            "source.memory = 17MiB: at least the 18MiB",
        ),
        (
            changed("\"8MiB\"", "\"4TiB\""),
            &[],
            "source and destination together need 838",
        ),
        (
            FLEET.to_owned(),
            &["--concurrent", "0"],
            "evacuation.concurrent = 0: 1 to 256",
        ),
        (
            FLEET.to_owned(),
            &["--order", "shortest-first"],
            "--costs RUN",
        ),
        (FLEET.to_owned(), &["--ways", "plain,plain"], "each once"),
        (
            FLEET.to_owned(),
            &["--ways", "qemu-plain"],
            "measure.ways = qemu-plain",
        ),
        (
            FLEET.to_owned(),
            &[
                "--ways",
                "plain,ssh",
                "--destination",
                "true",
                "--connect",
                "127.0.0.1",
            ],
            "ssh runs both ends of its tunnel on this machine",
        ),
        (
            changed("downtime_limit", "rtt = \"10ms\", downtime_limit"),
            &["--ways", "plain,stunnel"],
            "migration.rtt = 10ms: none with stunnel",
        ),
        (FLEET.to_owned(), &["--where", "name=web-1"], "--set"),
        (FLEET.to_owned(), &["--write"], "--set"),
        (
            FLEET.to_owned(),
            &["--link", "1kbit/s"],
            "evacuation.link = 1kbit/s",
        ),
        (
            changed("[evacuation]", "source = { cores = [4096] }\n[evacuation]"),
            &[],
            "source.cores = 4096",
        ),
    ] {
        let run = run(&text, flags);
        assert_eq!(run.code(), Some(2), "{expected}: {}", run.said());
        let said = run.said();
        assert!(
            said.contains(expected) && said.lines().count() == 1,
            "{expected}: {said}"
        );
        assert!(!run.out().exists(), "{expected}");
    }
}

#[test]
fn a_policy_is_shown_first_and_written_on_demand() {
    let (_folder, path) = written(FLEET);
    let set = |flags: &[&str]| {
        let output = migtax()
            .arg("fleet")
            .arg(&path)
            .args(flags)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), out, said)
    };
    let required = [
        "--set",
        "encryption=required",
        "--where",
        "name=web-*",
        "--hide-aes",
        "both",
    ];
    let (code, out, said) = set(&required);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "web-1: encryption opportunistic -> required",
        "web-2: encryption",
        "(--hide-aes) in the clear: lab",
        "(--hide-aes) not at all: web-1, web-2, db",
        "not written",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("db: encryption"), "{out}");
    assert_eq!(fs::read_to_string(&path).unwrap(), FLEET);
    let (code, _, said) = set(&[&required[..], &["--write"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("encryption = \"required\"").count(), 1);
    let (code, out, _) = set(&["--set", "encryption=required", "--where", "name=web-?"]);
    assert!(code == Some(0) && out.contains("nothing changes"), "{out}");
    // An encrypted guest says no, by its name.
    let (code, _, said) = set(&["--set", "encryption=disabled", "--write"]);
    assert!(
        code == Some(2) && said.contains("db: encryption = disabled"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// The smallest guest is predicted to be the first to arrive, wherever it is listed.
#[test]
fn the_shortest_predicted_goes_first_by_the_costs_of_a_run() {
    let costs = crate::command::run(
        "name = \"costs\"\n[guest]\nmemory = \"8MiB\"\n[workload]\nrate = \"1MiB/s\"\n[migration]\n\
         downtime_limit = \"1s\"\nlink = \"2Gbit/s\"\n[measure]\nrepetitions = 2\nwarmup = 0\nwindow = \"20ms\"",
        &["--arms", "plain"],
    );
    let (folder, path) = written(FLEET);
    let file = folder.path().join("results.json");
    fs::write(&file, serde_json::to_vec(&costs.results).unwrap()).unwrap();
    let flags = [
        "--order",
        "shortest-first",
        "--concurrent",
        "1",
        "--ways",
        "plain",
        "--costs",
    ];
    let out = folder.path().join("out");
    let flags = [&flags[..], &[file.to_str().unwrap()]].concat();
    let output = fleet(&path, &out, &flags).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let made = migtax::fleet::file::read(&out).unwrap();
    let guests = &only(&made, Way::PLAIN).guests;
    let first = guests
        .iter()
        .min_by(|a, b| a.began_s.unwrap().total_cmp(&b.began_s.unwrap()));
    let last = guests
        .iter()
        .max_by(|a, b| a.began_s.unwrap().total_cmp(&b.began_s.unwrap()));
    assert_eq!(
        (first.unwrap().guest.as_str(), last.unwrap().guest.as_str()),
        ("lab", "db")
    );
}

/// One link for all sources here, wherever the destinations are; what these use is not seen from here.
#[test]
fn a_fleet_goes_where_a_command_starts_its_destinations() {
    let command = format!("env -i {}", env!("CARGO_BIN_EXE_migtax"));
    let place = ["--destination", &command, "--connect", "127.0.0.1"];
    let run = run(FLEET, &[&["--ways", "configured"][..], &place].concat());
    assert_eq!(run.code(), Some(0), "{}", run.said());
    let file = run.file();
    let made = only(&file, Way::Configured);
    made.guests.iter().for_each(assert_arrived);
    assert!(made.cores.iter().all(|used| used.destination.is_none()));
    assert_eq!(made.peak_memory.destination_bytes, None);
    assert!(file.host.destination_on_this_machine);
}

/// A tunnel's keys and processes are its guest's own, and count as its hosts'.
#[test]
fn guests_go_through_tls_and_tunnels_side_by_side() {
    let ways = [Arm::TLS, Arm::SSH, Arm::STUNNEL];
    let run = run(FLEET, &["--ways", "plain,tls,ssh,stunnel"]);
    assert_eq!(run.code(), Some(0), "{}", run.said());
    let file = run.file();
    for arm in ways {
        if let Some(reason) = file.not_run.get(&Way::All(arm)) {
            assert!(arm.is_tunnel(), "{arm}: {reason}");
            eprintln!("skipped: {arm}: {reason}");
            continue;
        }
        let made = only(&file, Way::All(arm));
        made.guests.iter().for_each(assert_arrived);
        let sealed = made.guests.iter().all(|m| m.sealed && m.arm == arm);
        assert!(sealed, "{made:?}");
        let mut from_s = 0.0;
        let mut seen_s = 0.0;
        for used in &made.cores {
            seen_s += used.source * (used.until_s - from_s);
            from_s = used.until_s;
        }
        let told_s: f64 = made.guests.iter().map(|m| m.source_cpu_s).sum();
        assert!(seen_s >= told_s, "{arm}: {seen_s} s, {told_s} s: {made:?}");
    }
}

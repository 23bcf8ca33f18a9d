//! A destination elsewhere: another environment, another network namespace.

use std::process::Command;

use migtax::results::{OutcomeStatus, Results};

use crate::runs::{arms, names, run_elsewhere, scenario};

#[test]
fn a_destination_that_gets_no_environment_puts_its_own_mask_on() {
    let arms = arms();
    // As ssh, which passes nothing of the coordinator's environment on.
    let command = format!("env -i {}", env!("CARGO_BIN_EXE_migtax"));
    let ended = run_elsewhere(&scenario("5s"), &names(&arms), &command, "127.0.0.1");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let results = ended.results.unwrap();
    assert_eq!(results.host.destination.as_deref(), Some(command.as_str()));
    for migration in &results.migrations {
        assert_eq!(migration.outcome.status, OutcomeStatus::Completed);
    }
    // The hosts would be told apart if a mask had not taken effect on one of them.
    assert!(!results.warnings.iter().any(|w| w.code == "hosts_differ"));
}

#[test]
fn a_guest_moves_into_another_network_namespace() {
    let name = format!("migtax-{}", std::process::id());
    let ip = |words: &str| {
        let status = Command::new("ip").args(words.split(' ')).status();
        status.is_ok_and(|status| status.success())
    };
    if !ip(&format!("netns add {name}")) {
        eprintln!("skipped: this needs iproute2 and the right to make network namespaces (root)");
        return;
    }
    let (here, there) = (
        format!("mh{}", std::process::id()),
        format!("mt{}", std::process::id()),
    );
    let linked = ip(&format!(
        "link add {here} type veth peer name {there} netns {name}"
    )) && ip(&format!("addr add 10.213.77.1/30 dev {here}"))
        && ip(&format!("link set {here} up"))
        && ip(&format!("-n {name} addr add 10.213.77.2/30 dev {there}"))
        && ip(&format!("-n {name} link set {there} up"));
    let ended = linked.then(|| {
        let command = format!("ip netns exec {name} {}", env!("CARGO_BIN_EXE_migtax"));
        let arms = "plain,rustcrypto-soft";
        run_elsewhere(&scenario("5s"), arms, &command, "10.213.77.2")
    });
    // The pair of links ends with the namespace.
    assert!(ip(&format!("netns del {name}")));
    let Some(ended) = ended else {
        eprintln!("skipped: no pair of virtual links can be made here");
        return;
    };
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let results = ended.results.unwrap();
    for migration in &results.migrations {
        assert_eq!(migration.outcome.status, OutcomeStatus::Completed);
        assert!(migration.verified.equal);
    }
    assert_on_this_machine(&results);
}

/// One kernel under one boot is one machine, whatever lies between its network namespaces: the note
/// on CPU by side must be that of loopback.
fn assert_on_this_machine(results: &Results) {
    assert!(results.host.destination.is_some() && results.host.destination_on_this_machine);
    let summary = migtax::report::markdown::summary(results);
    assert!(
        summary.contains("With both hosts on one machine")
            && !summary.contains("on a machine of its own"),
        "{summary}"
    );
}

/// As sshd does for ssh: what runs the destination is no child of the coordinator's.
#[test]
fn a_destination_that_another_program_started_here_is_on_this_machine() {
    let binary = env!("CARGO_BIN_EXE_migtax");
    let command = format!("sh -c 'exec 3<&0; \"$0\" \"$@\" <&3 &' {binary}");
    let ended = run_elsewhere(&scenario("5s"), "plain,copy", &command, "127.0.0.1");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    assert_on_this_machine(&ended.results.unwrap());
}

#[test]
fn disks_of_both_hosts_are_asked_for_where_the_destination_turns_out_to_be_here() {
    let folder = tempfile::tempdir().unwrap();
    let free = rustix::fs::statvfs(folder.path()).unwrap();
    // One has room, two have not.
    let mib = ((free.f_bavail * free.f_frsize) >> 20) / 4 * 3;
    let disk = format!(
        "[storage]\nsize = \"{mib}MiB\"\nfolder = {:?}\ncontent = {{ zero = 1.0, compressible = 0.0 }}\n",
        folder.path()
    );
    let text = scenario("5s") + &disk;
    let command = format!("env -i {}", env!("CARGO_BIN_EXE_migtax"));
    let ended = run_elsewhere(&text, "plain", &command, "127.0.0.1");
    let said = &ended.said;
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let needs = format!("disks need {} MiB in ", 2 * mib);
    assert!(
        said.contains("storage.size = ") && said.contains(&needs) && said.contains(" MiB free"),
        "{said}"
    );
    assert!(ended.results.is_none(), "nothing was started");
}

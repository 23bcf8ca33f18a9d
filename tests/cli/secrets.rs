//! A password on the destination's command line: it is used, and stands nowhere afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::command::{migtax, scenario_file};
use crate::migration::IDLE;

const SECRET: &str = "Tr0ub4dor";

#[test]
fn a_password_for_the_destination_is_not_recorded() {
    let (folder, path) = scenario_file(IDLE);
    // Takes the password as sshpass does, and hands on that it got it.
    let sshpass = folder.path().join("sshpass");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = -p ] && [ \"$2\" = {SECRET} ] || exit 9\nshift 2\nexec \"$@\"\n"
    );
    fs::write(&sshpass, script).unwrap();
    fs::set_permissions(&sshpass, fs::Permissions::from_mode(0o755)).unwrap();
    let out = folder.path().join("run");
    let destination = format!(
        "env OTHER_TOKEN={SECRET} {} -p {SECRET} {}",
        sshpass.display(),
        env!("CARGO_BIN_EXE_migtax")
    );
    for destination in [
        vec!["--destination".to_owned(), destination.clone()],
        vec![format!("--destination={destination}")],
    ] {
        let output = migtax()
            .args(["run", &path, "--arms", "plain", "--connect", "127.0.0.1"])
            .args(destination)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
        assert_eq!(output.status.code(), Some(0), "{said:?}");
        assert!(!said.concat().contains(SECRET), "{said:?}");
        let results = migtax::run_folder::read(&out).unwrap();
        let recorded = results.host.destination.unwrap();
        assert!(recorded.contains("***"), "{recorded}");
        for file in fs::read_dir(&out).unwrap() {
            let file = file.unwrap().path();
            let text = fs::read(&file).unwrap();
            let found = text
                .windows(SECRET.len())
                .any(|bytes| bytes == SECRET.as_bytes());
            assert!(!found, "{}", file.display());
        }
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_refused_command_is_not_repeated() {
    let place = tempfile::tempdir().unwrap();
    let output = migtax()
        .current_dir(place.path())
        .args(["run", "--connect", "127.0.0.1", "--destination"])
        .arg(format!("sshpass -p {SECRET} 'ssh"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--destination") && !said.contains(SECRET),
        "{said}"
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

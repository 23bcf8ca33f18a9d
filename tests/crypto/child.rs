//! A child process that holds keys, and what is found of them in its memory.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::needles::{Needles, hex, search};

/// A test of this program that runs by itself in a child, which it tells by `variable`. It reads a key,
/// and a byte wherever it waits after it has said how far it is.
pub struct Holder {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    needles: Needles,
    epochs: u32,
}

impl Holder {
    /// The child of a test, once it holds a key of so many epochs; all of it is found there.
    pub fn start(test: &str, variable: &str, epochs: u32) -> Holder {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(variable, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to = child.stdin.take().unwrap();
        writeln!(to, "{} {}", hex(&key), hex(&[0x5A; 8])).unwrap();
        let mut holder = Holder {
            from: BufReader::new(child.stdout.take().unwrap()),
            needles: Needles::of(&key, epochs),
            child,
            to,
            epochs,
        };
        holder.until("held");
        holder
    }

    /// What there is of the key while it is held: the migration key and every backend's state.
    pub fn holds_all(&self) -> bool {
        let found = search(self.child.id(), &self.needles);
        let last = self.epochs - 1;
        for what in [
            "migration key".to_owned(),
            format!("aes-gcm 0.9 state of epoch {last}"),
            format!("aes-gcm 0.11 state of epoch {last}"),
            format!("aws-lc state of epoch {last}"),
            format!("aws-lc AES-128 state of epoch {last}"),
            // ChaCha20 has no other state.
            format!("key of epoch {last}"),
        ] {
            assert!(
                found.iter().any(|hit| hit.what == what),
                "no {what} in {found:#?}"
            );
        }
        found.iter().all(|hit| hit.locked)
    }

    /// Sends it on to the state in which nothing may be left, and then to its end.
    pub fn ends_without(mut self, state: &str) -> ExitStatus {
        self.to.write_all(b"\n").unwrap();
        self.until(state);
        let found = search(self.child.id(), &self.needles);
        assert!(found.is_empty(), "{found:#?}");
        self.to.write_all(b"\n").unwrap();
        self.child.wait().unwrap()
    }

    fn until(&mut self, state: &str) {
        let mut line = String::new();
        while line.trim() != state {
            line.clear();
            let read = self.from.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the child ended");
        }
    }
}

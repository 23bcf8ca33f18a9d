//! A host asked what it can do, by a command that may reach another machine and fail in words of
//! its own.

use std::io::{Read, Write};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::host::{Capabilities, PROTOCOL};

/// How much of what a command said last is kept, bytes.
const KEPT: usize = 4 << 10;
/// How much of it is repeated, characters.
const REPEATED: usize = 200;
/// How long the last words of a command that has ended are awaited: what it left running (a shared
/// connection of ssh's) may hold its standard error open.
const LINGER: Duration = Duration::from_millis(500);

/// What hosts of every protocol tell.
#[derive(Debug, Deserialize)]
struct Introduction {
    protocol: u32,
    migtax_version: String,
}

/// What the host that `process` starts can do; `who` names it. What the command says on standard
/// error is passed on.
///
/// # Errors
/// If it can't be started, ends without an answer (with its last words), or is a host of another
/// protocol.
pub(super) fn ask(mut process: Command, who: &str) -> Result<Capabilities> {
    let program = process.get_program().to_string_lossy().into_owned();
    let mut child = process
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io(format!("starting {program}"), error))?;
    let words = child.stderr.take().map(LastWords::of);
    let output = child
        .wait_with_output()
        .map_err(|error| Error::io(format!("listening to {program}"), error))?;
    understand(&output.stdout, who).map_err(|complaint| {
        let last = words.and_then(LastWords::line);
        let last = last.map_or_else(String::new, |line| format!("; its last words: {line}"));
        Error::CannotRun(format!("{complaint} ({}){last}", output.status))
    })
}

fn understand(said: &[u8], who: &str) -> Result<Capabilities, String> {
    if said.trim_ascii().is_empty() {
        return Err(format!(
            "{who}: its command ended before it told anything of itself"
        ));
    }
    let no_answer = |error: serde_json::Error| {
        let text = String::from_utf8_lossy(said);
        let first = text.lines().next().unwrap_or_default();
        let first: String = first.chars().take(REPEATED).collect();
        format!("{who}: it answered {first:?}, which are no capabilities: {error}")
    };
    let Introduction {
        protocol,
        migtax_version,
    } = serde_json::from_slice(said).map_err(no_answer)?;
    if protocol != PROTOCOL {
        return Err(format!(
            "{who}: it is migtax {migtax_version} with protocol {protocol}, this one speaks \
             {PROTOCOL}: use the same build on both sides"
        ));
    }
    serde_json::from_slice(said).map_err(no_answer)
}

/// The end of what a command says on standard error, all of which is passed on.
struct LastWords {
    said: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl LastWords {
    fn of(mut output: ChildStderr) -> LastWords {
        let said = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = channel::<()>();
        let kept = said.clone();
        // It ends with the output, or with the process.
        std::thread::spawn(move || {
            let _end = end;
            let mut buffer = [0; KEPT];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                // Nobody may be there to read it.
                let _ = std::io::stderr().write_all(&buffer[..count]);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..count]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
        });
        LastWords { said, ended }
    }

    /// The last line that says something.
    fn line(self) -> Option<String> {
        let _ = self.ended.recv_timeout(LINGER);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        Some(line.chars().take(REPEATED).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_said_by_whoever_failed() {
        let capabilities =
            serde_json::to_string(&crate::host::capabilities(crate::arm::Arm::PLAIN, false));
        let ours = capabilities.unwrap();
        let version = |number| format!("\"protocol\":{number},");
        let other = ours.replacen(&version(PROTOCOL), &version(PROTOCOL + 1), 1);
        for (script, complaint) in [
            (
                "echo first >&2; echo; echo 'Host key verification failed.' >&2; echo >&2; exit 255",
                "the destination: its command ended before it told anything of itself \
                 (exit status: 255); its last words: Host key verification failed."
                    .to_owned(),
            ),
            (
                "kill -9 $$",
                "the destination: its command ended before it told anything of itself \
                 (signal: 9 (SIGKILL))"
                    .to_owned(),
            ),
            (
                "echo Welcome; echo {}",
                "the destination: it answered \"Welcome\", which are no capabilities: expected \
                 value at line 1 column 1 (exit status: 0)"
                    .to_owned(),
            ),
            (
                // What lives on keeps standard error open.
                "sleep 2 >&- & echo gone >&2; exit 3",
                "the destination: its command ended before it told anything of itself \
                 (exit status: 3); its last words: gone"
                    .to_owned(),
            ),
            (
                // Of what other protocols tell, only this is known.
                "echo '{\"protocol\":9999,\"migtax_version\":\"7.0\"}'",
                format!(
                    "the destination: it is migtax 7.0 with protocol 9999, this one speaks \
                     {PROTOCOL}: use the same build on both sides (exit status: 0)"
                ),
            ),
        ] {
            let mut process = Command::new("sh");
            process.args(["-c", script]);
            let error = ask(process, "the destination").unwrap_err();
            assert_eq!(error.to_string(), complaint, "{script}");
        }
        assert!(understand(other.as_bytes(), "it").is_err());
        assert!(understand(ours.as_bytes(), "it").is_ok());
        assert!(understand(b"{\"protocol\":", "it").is_err());
    }
}

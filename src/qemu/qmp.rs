//! QEMU's monitor (QMP): one JSON object a line, in both directions.
//!
//! Protocol: QEMU's "QMP protocol specification" (docs/interop/qmp-spec). The greeting comes first; then
//! commands are answered in order, with events in between.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a command may take to be answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest line that is taken, bytes; the longest that QEMU 7 to 10 sends is the schema's, 300 KiB.
const LONGEST_LINE: usize = 16 << 20;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// QEMU ended, or closed its monitor.
    #[error("QEMU is gone")]
    Gone,
    /// No answer came in time.
    #[error("QEMU did not answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// The command was refused: QEMU's words.
    #[error("{0}")]
    Refused(String),
    /// Something came that is not of the protocol.
    #[error("not QMP: {0}")]
    Malformed(String),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name, such as `STOP`.
    pub name: String,
    /// What belongs to it.
    pub data: Value,
    /// When, by QEMU's real-time clock, seconds.
    pub timestamp_s: f64,
}

/// A connection to a monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    /// Bytes that came and are not yet a line.
    pending: Vec<u8>,
    /// Events that came while an answer was awaited.
    events: VecDeque<Event>,
    /// Commands sent so far: each carries its number, so that an answer that comes after its command was
    /// given up is not taken for the next one's.
    sent: u64,
}

impl Qmp {
    /// Greets, within a limit.
    ///
    /// # Errors
    /// If no QEMU speaks at the other end.
    pub fn over(stream: UnixStream, limit: Duration) -> Result<Qmp, QmpError> {
        let mut qmp = Qmp {
            stream,
            pending: Vec::new(),
            events: VecDeque::new(),
            sent: 0,
        };
        let timed = qmp.stream.set_write_timeout(Some(PATIENCE));
        timed.map_err(|_| QmpError::Gone)?;
        let deadline = Instant::now() + limit;
        let greeting = qmp.message(deadline)?.ok_or(QmpError::Late(limit))?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::Malformed("no greeting".to_owned()));
        }
        qmp.run("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Carries out a command; its answer.
    ///
    /// # Errors
    /// If QEMU refuses it, is gone or does not answer within 10 s.
    pub fn run(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        self.sent += 1;
        let id = self.sent;
        let command = json!({"execute": command, "arguments": arguments, "id": id});
        let mut line = command.to_string();
        line.push('\n');
        let sent = self.stream.write_all(line.as_bytes());
        sent.map_err(|_| QmpError::Gone)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.message(deadline)?.ok_or(QmpError::Late(PATIENCE))?;
            if let Some(event) = event(&mut message) {
                self.events.push_back(event);
            } else if message["id"].as_u64().is_some_and(|other| other != id) {
                // A late answer.
            } else if let Some(answer) = message.get_mut("return") {
                return Ok(answer.take());
            } else {
                let words = message["error"]["desc"].as_str();
                return Err(match words {
                    Some(words) => QmpError::Refused(words.to_owned()),
                    None => QmpError::Malformed("neither an answer nor an error".to_owned()),
                });
            }
        }
    }

    /// The next event, if one comes within a limit.
    ///
    /// # Errors
    /// If QEMU is gone; events that came before it went are given out first.
    pub fn event(&mut self, limit: Duration) -> Result<Option<Event>, QmpError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self.message(deadline)? {
                None => return Ok(None),
                Some(mut message) => self.events.extend(event(&mut message)),
            }
        }
    }

    /// Whether such an event has come and was not given out yet.
    pub fn has_come(&self, name: &str) -> bool {
        self.events.iter().any(|event| event.name == name)
    }

    /// The next line, if it comes until then.
    fn message(&mut self, deadline: Instant) -> Result<Option<Value>, QmpError> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let message = serde_json::from_slice(&line);
                return message
                    .map(Some)
                    .map_err(|error| QmpError::Malformed(error.to_string()));
            }
            if self.pending.len() > LONGEST_LINE {
                return Err(QmpError::Malformed("a line without end".to_owned()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A time-out of zero would wait for ever.
            let wait = left.max(Duration::from_micros(1));
            let timed = self.stream.set_read_timeout(Some(wait));
            timed.map_err(|_| QmpError::Gone)?;
            let mut piece = [0; 16 << 10];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(QmpError::Gone),
                Ok(count) => self.pending.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if left.is_zero() {
                        return Ok(None);
                    }
                }
                Err(_) => return Err(QmpError::Gone),
            }
        }
    }
}

/// The event that a message is, if it is one.
fn event(message: &mut Value) -> Option<Event> {
    let name = message.get("event")?.as_str()?.to_owned();
    let timestamp = &message["timestamp"];
    let part = |field: &str| timestamp[field].as_f64().unwrap_or(0.0);
    Some(Event {
        name,
        timestamp_s: part("seconds") + part("microseconds") / 1e6,
        data: message["data"].take(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A monitor that says these lines at once and then ends.
    fn saying(lines: &[&str]) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs
            .write_all((lines.join("\n") + "\n").as_bytes())
            .unwrap();
        ours
    }

    const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;
    /// A monitor that answers each command by its turn, and then ends.
    fn answering(answers: &'static [&'static str]) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut say = theirs.try_clone().unwrap();
            let mut tell = |line: &str| say.write_all(format!("{line}\n").as_bytes()).unwrap();
            tell(GREETING);
            let mut commands = io::BufRead::lines(io::BufReader::new(&mut theirs));
            for answer in answers {
                commands.next().unwrap().unwrap();
                tell(answer);
            }
        });
        ours
    }

    #[test]
    fn answers_and_events_are_told_apart() {
        let monitor = answering(&[
            r#"{"return": {}, "id": 1}"#,
            "{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 5, \"microseconds\": 250000}}\n\
             {\"return\": \"an earlier command's\", \"id\": 1}\n\
             {\"return\": 7, \"id\": 2}",
            r#"{"error": {"class": "GenericError", "desc": "no such thing"}, "id": 3}"#,
        ]);
        let mut qmp = Qmp::over(monitor, PATIENCE).unwrap();
        assert_eq!(qmp.run("query", json!({})).unwrap(), 7);
        assert!(qmp.has_come("STOP"));
        let event = qmp.event(PATIENCE).unwrap().unwrap();
        assert_eq!((event.name.as_str(), event.timestamp_s), ("STOP", 5.25));
        assert!(!qmp.has_come("STOP"));
        let refused = qmp.run("query", json!({})).unwrap_err();
        assert!(matches!(&refused, QmpError::Refused(words) if words == "no such thing"));
        assert!(matches!(qmp.event(PATIENCE), Err(QmpError::Gone)));
    }

    #[test]
    fn what_is_no_monitor_is_refused() {
        for (lines, part) in [
            (&["{}"][..], "no greeting"),
            (&["what is this"][..], "not QMP: expected value"),
            (&[][..], "not QMP: EOF"),
        ] {
            let error = Qmp::over(saying(lines), PATIENCE).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let error = Qmp::over(ours, Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, QmpError::Late(_)), "{error}");
        drop(theirs);
        let (ours, _) = UnixStream::pair().unwrap();
        let error = Qmp::over(ours, PATIENCE).unwrap_err();
        assert!(matches!(error, QmpError::Gone), "{error}");
    }
}

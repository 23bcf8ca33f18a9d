//! Reading traces.

use std::borrow::Cow;
use std::sync::Arc;

use super::format::{
    HEADER, MAGIC, MAX_BODY, MAX_DURATION_NS, MAX_PAGES, MAX_TEXT, TraceError, VERSION,
};
use crate::error::{Error, Result};
use crate::files;
use crate::units::PAGE_SIZE;

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../datasets/traces/", $name, ".trace")))),*]
    };
}

/// The embedded traces: every file of `datasets/traces`, by name.
const EMBEDDED: &[(&str, &[u8])] = embed!["redis", "sqlite", "python", "gcc"];

/// A recorded trace, checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What was recorded, and how.
    pub text: String,
    /// Nanoseconds that share a time stamp.
    pub quantum_ns: u32,
    /// Length in quanta.
    pub quanta: u64,
    /// Pages are numbered from 0 to one below this.
    pub pages: u64,
    /// Page writes.
    pub writes: u64,
    checksum: u32,
    pub(super) body: Cow<'static, [u8]>,
}

impl Trace {
    /// Reads a trace, checking everything: checksum, version, every page and every count.
    ///
    /// # Errors
    /// What is wrong with it. Damage never shortens a trace: it is refused.
    pub fn parse(bytes: Cow<'static, [u8]>) -> Result<Trace, TraceError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(TraceError::NotATrace);
        }
        let mut at = MAGIC.len();
        let version = field(&bytes, &mut at, 2)? as u16;
        if version != VERSION {
            return Err(TraceError::Version(version));
        }
        let quantum_ns = field(&bytes, &mut at, 4)? as u32;
        let quanta = field(&bytes, &mut at, 8)?;
        let pages = field(&bytes, &mut at, 8)?;
        let writes = field(&bytes, &mut at, 8)?;
        let text_len = field(&bytes, &mut at, 2)? as usize;
        let body_len = field(&bytes, &mut at, 4)? as usize;
        let (text_fits, body_fits) = (text_len <= MAX_TEXT, body_len <= MAX_BODY);
        limits(&[
            (text_fits, "text length", text_len as u64, "at most 4096"),
            (body_fits, "body length", body_len as u64, "at most 64 MiB"),
        ])?;
        let expected = HEADER + text_len + body_len + 4;
        if bytes.len() != expected {
            return Err(TraceError::Length {
                found: bytes.len(),
                expected,
            });
        }
        let (content, sum) = bytes.split_at(expected - 4);
        let stated = u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]);
        let found = crc32fast::hash(content);
        if found != stated {
            return Err(TraceError::Checksum { found, stated });
        }
        let quantum = u64::from(quantum_ns);
        let longest = MAX_DURATION_NS.checked_div(quantum).unwrap_or(0);
        let lasts = (1..=longest).contains(&quanta);
        let sized = (1..=MAX_PAGES).contains(&pages);
        limits(&[
            (quantum > 0, "quantum", quantum, "at least 1 ns"),
            (lasts, "quanta", quanta, "a duration above 0, up to 24h"),
            (sized, "pages", pages, "1 to 16777216"),
            (writes > 0, "writes", writes, "at least 1"),
        ])?;
        let text = String::from_utf8(bytes[HEADER..HEADER + text_len].to_vec())
            .map_err(|_| TraceError::Body("its text is not UTF-8"))?;
        let body = match bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[HEADER + text_len..expected - 4]),
            Cow::Owned(mut bytes) => {
                bytes.truncate(expected - 4);
                bytes.drain(..HEADER + text_len);
                Cow::Owned(bytes)
            }
        };
        let trace = Trace {
            text,
            quantum_ns,
            quanta,
            pages,
            writes,
            checksum: found,
            body,
        };
        trace.check_body()?;
        Ok(trace)
    }

    /// Opens an embedded trace by name, or a file by path.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, or it can't be used.
    pub fn open(name: &str) -> Result<Arc<Trace>> {
        let bytes = match EMBEDDED.iter().find(|(known, _)| *known == name) {
            Some((_, bytes)) => Cow::Borrowed(*bytes),
            None => Cow::Owned(read_file(name)?),
        };
        Trace::parse(bytes)
            .map(Arc::new)
            .map_err(|e| Error::Invalid(format!("trace {name}: {e}")))
    }

    /// Names of the embedded traces.
    pub fn embedded() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// Its file's CRC-32.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Its length in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.quanta * u64::from(self.quantum_ns)
    }

    /// Its mean rate as recorded: page writes times the page size, bytes per second.
    pub fn rate(&self) -> f64 {
        self.writes as f64 * PAGE_SIZE as f64 * 1e9 / self.duration_ns() as f64
    }

    fn check_body(&self) -> Result<(), TraceError> {
        let mut reader = Reader::new(&self.body);
        let mut quantum = 0u64;
        let mut writes = 0u64;
        while !reader.at_end() {
            let skip = reader.number()?;
            if skip == 0 {
                return Err(TraceError::Body("two groups share a quantum"));
            }
            quantum = quantum.saturating_add(skip);
            if quantum > self.quanta {
                return Err(TraceError::Body("a write after its end"));
            }
            let tokens = reader.number()?;
            if tokens == 0 {
                return Err(TraceError::Body("a group without writes"));
            }
            let mut next = 0u64;
            for _ in 0..tokens {
                let (gap, length) = reader.token()?;
                next = next.saturating_add(gap).saturating_add(length);
                if next > self.pages {
                    return Err(TraceError::Page {
                        page: next - 1,
                        pages: self.pages,
                    });
                }
                writes += length;
            }
        }
        match writes == self.writes {
            true => Ok(()),
            false => Err(TraceError::Body("it has more or fewer writes")),
        }
    }
}

/// Refuses the first header field that is not fine: whether it is, its name, its value, what it may be.
fn limits(fields: &[(bool, &'static str, u64, &'static str)]) -> Result<(), TraceError> {
    match fields.iter().find(|(fine, ..)| !fine) {
        None => Ok(()),
        Some(&(_, field, value, allowed)) => Err(TraceError::Header {
            field,
            value,
            allowed,
        }),
    }
}

fn field(bytes: &[u8], at: &mut usize, length: usize) -> Result<u64, TraceError> {
    let found = bytes.get(*at..*at + length).ok_or(TraceError::Length {
        found: bytes.len(),
        expected: HEADER + 4,
    })?;
    *at += length;
    let mut word = [0; 8];
    word[..length].copy_from_slice(found);
    Ok(u64::from_le_bytes(word))
}

fn read_file(name: &str) -> Result<Vec<u8>> {
    let path = files::path_of("trace", name, Trace::embedded())?;
    let most = HEADER + MAX_TEXT + MAX_BODY + 4;
    files::beginning(path, most as u64 + 1)
}

/// Reads the numbers of a body. Its errors end the check of a trace, so a replay never meets one.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { body, at: 0 }
    }

    fn at_end(&self) -> bool {
        self.at == self.body.len()
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, TraceError> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = *self
                .body
                .get(self.at)
                .ok_or(TraceError::Body("it ends within a group"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(TraceError::Body("a number of more than nine bytes"))
    }

    /// The gap before a run and its length.
    #[inline]
    pub(super) fn token(&mut self) -> Result<(u64, u64), TraceError> {
        let token = self.number()?;
        let length = if token & 1 == 0 {
            1
        } else {
            self.number()?.saturating_add(2)
        };
        Ok((token >> 1, length))
    }
}

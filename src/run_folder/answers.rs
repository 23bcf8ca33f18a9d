//! Answers to QEMU's `query-migrate` that an operator saved: read with suspicion, set beside runs.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::files;

/// Larger files are refused: an answer takes about 2 KB.
const LARGEST_BYTES: u64 = 16 << 20;
/// Times are at most a year, milliseconds.
const LONGEST_MS: u64 = 366 * 86_400 * 1000;
/// A label is cut after this, a status may not be longer, bytes.
const LONGEST_TEXT: usize = 200;
/// Counts are what every reader of JSON holds exactly.
const MOST: u64 = 1 << 53;
/// What a file must hold.
const ALLOWED: &str = "an answer to query-migrate, {\"return\": answer} or a list of these, each with a \
                       status, and with a label of its own if it should have one";

/// A migration as QEMU stated it in the end. What the answer does not tell is None.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its own `label`, or the file's name, numbered if the file holds several.
    pub label: String,
    /// `completed`, `failed`, `active` and so on.
    pub status: String,
    /// Seconds.
    pub total_time_s: Option<f64>,
    /// Seconds.
    pub downtime_s: Option<f64>,
    /// Seconds.
    pub setup_time_s: Option<f64>,
    /// Bytes sent as memory.
    pub transferred_bytes: Option<u64>,
    /// Pages sent with content.
    pub normal_pages: Option<u64>,
    /// Pages sent as zero.
    pub duplicate_pages: Option<u64>,
    /// How often the dirty pages were looked for.
    pub dirty_syncs: Option<u64>,
}

/// Whether a file means to hold answers: a list, or an object with what an answer has and a run has not.
/// What is neither is read as a run, and refused as one.
pub fn means_answers(file: &Path) -> bool {
    let is_answer = |value: &Value| {
        value.is_array() || value.get("status").is_some() || value.get("return").is_some()
    };
    // A longer file is no list of answers, and is read once, as a run.
    let is_short = std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.len() <= LARGEST_BYTES);
    is_short && json(file).is_ok_and(|value| is_answer(&value))
}

fn json(file: &Path) -> Result<Value> {
    let bytes = files::read(file, LARGEST_BYTES)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Invalid(format!("{}: {error}", file.display())))
}

/// Reads a file of answers.
///
/// # Errors
/// One line that names the file and the field.
pub fn read(file: &Path) -> Result<Vec<Answer>> {
    let named = |text: String| Error::Invalid(format!("{}: {text}", file.display()));
    let name = file
        .file_stem()
        .map_or("answer".into(), |name| name.to_string_lossy());
    let value = json(file)?;
    let all = match &value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    if all.is_empty() {
        return Err(named(format!("an empty list: must be {ALLOWED}")));
    }
    let answer = |(index, value): (usize, &Value)| {
        let fallback = match all.len() {
            1 => name.to_string(),
            _ => format!("{name} {}", index + 1),
        };
        parse(value, fallback).map_err(|text| match all.len() {
            1 => named(text),
            _ => named(format!("[{index}]: {text}")),
        })
    };
    all.iter().enumerate().map(answer).collect()
}

fn parse(value: &Value, fallback: String) -> Result<Answer, String> {
    let answer = value.get("return").unwrap_or(value);
    let status = answer.get("status").and_then(Value::as_str);
    let status = status.ok_or_else(|| format!("no status: must be {ALLOWED}"))?;
    let number = |of: &Value, field: &str, most: u64| -> Result<Option<u64>, String> {
        match of.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|number| *number <= most) {
                Some(number) => Ok(Some(number)),
                None => Err(format!(
                    "{field} = {value}: must be a whole number, 0 to {most}"
                )),
            },
        }
    };
    let seconds = |field: &str| -> Result<Option<f64>, String> {
        let ms = number(answer, field, LONGEST_MS)?;
        Ok(ms.map(|ms| ms as f64 / 1e3))
    };
    let ram = answer.get("ram").unwrap_or(&Value::Null);
    if status.len() > LONGEST_TEXT {
        return Err(format!("status: longer than {LONGEST_TEXT} bytes"));
    }
    let label = [value, answer]
        .into_iter()
        .find_map(|of| of.get("label")?.as_str());
    Ok(Answer {
        label: label.map_or(fallback, |label| label.chars().take(LONGEST_TEXT).collect()),
        status: status.to_owned(),
        total_time_s: seconds("total-time")?,
        downtime_s: seconds("downtime")?,
        setup_time_s: seconds("setup-time")?,
        transferred_bytes: number(ram, "transferred", MOST)?,
        normal_pages: number(ram, "normal", MOST)?,
        duplicate_pages: number(ram, "duplicate", MOST)?,
        dirty_syncs: number(ram, "dirty-sync-count", MOST)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Answer>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("night.json");
        std::fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn one_answer_or_several_bare_or_as_the_monitor_sends_them() {
        let one = r#"{"status": "completed", "total-time": 1500, "downtime": 20, "setup-time": 3,
            "ram": {"transferred": 1000, "normal": 2, "duplicate": 3, "dirty-sync-count": 4}}"#;
        let answers = of(one).unwrap();
        assert_eq!(answers[0].label, "night");
        assert_eq!(answers[0].total_time_s, Some(1.5));
        assert_eq!(answers[0].downtime_s, Some(0.02));
        assert_eq!(answers[0].transferred_bytes, Some(1000));
        assert_eq!(answers[0].dirty_syncs, Some(4));
        let several = of(&format!(
            "[{{\"return\": {one}, \"label\": \"first\"}}, {{\"status\": \"active\"}}]"
        ))
        .unwrap();
        assert_eq!(several[0].label, "first");
        assert_eq!(
            (several[1].label.as_str(), several[1].total_time_s),
            ("night 2", None)
        );
    }

    #[test]
    fn a_run_is_told_from_answers() {
        let folder = tempfile::tempdir().unwrap();
        let means = |text: &str| {
            let file = folder.path().join("x.json");
            std::fs::write(&file, text).unwrap();
            means_answers(&file)
        };
        assert!(means("[]") && means(r#"{"status": 1}"#) && means(r#"{"return": {}}"#));
        assert!(!means(r#"{"schema_version": 2}"#) && !means("{") && !means("3"));
        assert!(!means_answers(folder.path()));
    }

    #[test]
    fn what_is_no_answer_is_refused_in_one_line() {
        for (text, part) in [
            ("{", "night.json: EOF"),
            ("{}", "no status: must be an answer to query-migrate"),
            ("[]", "an empty list"),
            ("3", "no status"),
            (r#"[{"status": "completed"}, {}]"#, "[1]: no status"),
            (
                r#"{"status": "x", "downtime": -1}"#,
                "downtime = -1: must be a whole number",
            ),
            (
                r#"{"status": "x", "total-time": 1e300}"#,
                "total-time = 1e+300",
            ),
            (
                r#"{"status": "x", "ram": {"normal": "many"}}"#,
                "normal = \"many\"",
            ),
            (
                r#"{"status": "x", "ram": {"normal": 18446744073709551615}}"#,
                "normal = 1844",
            ),
        ] {
            let error = of(text).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(part) && !said.contains('\n'), "{said}");
            assert_eq!(
                error.exit_code(),
                crate::error::ExitCode::InvalidInput,
                "{said}"
            );
        }
    }
}

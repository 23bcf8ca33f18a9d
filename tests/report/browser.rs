//! Reports as a browser shows them: headless Chromium opens copies of the pages and looks. Where no
//! Chromium is installed the tests say so and check nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support;
use migtax::report::{chart, page, runs};
use migtax::results::{OutcomeStatus, Results};
use migtax::units::Size;
use serde_json::Value;

const WATCH: &str = include_str!("browser/watch.js");
const PROBE: &str = include_str!("browser/probe.js");

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        eprintln!("skipped: no chromium on PATH");
    }
    found
}

/// What a browser of a width found in a page.
struct Seen {
    probe: Value,
    /// Lines that Chromium's console wrote.
    console: Vec<String>,
    /// Addresses other than files that anything in the browser asked for on the page's behalf.
    network: Vec<String>,
}

fn look(browser: &Path, html: &str, width: u32) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let watched = html
        .replacen("<head>", &format!("<head><script>{WATCH}</script>"), 1)
        .replacen("</body>", &format!("<script>{PROBE}</script></body>"), 1);
    // In a frame, because headless windows are no narrower than 500 pixels.
    let framed = watched.replace('&', "&amp;").replace('"', "&quot;");
    let outer = format!(
        "<!DOCTYPE html><html><body><iframe width=\"{width}\" height=\"900\" \
         style=\"border:0\" srcdoc=\"{framed}\"></iframe></body></html>"
    );
    fs::write(&file, outer).unwrap();
    let log = folder.path().join("net.json");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([
            "--disable-default-apps",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
        ])
        // Whatever would leave is refused by name, and is in the log.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg("--window-size=1700,1000")
        .arg("--dump-dom")
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = dom
        .split("<pre id=\"probe\">")
        .nth(1)
        .and_then(|rest| rest.split("</pre>").next())
        .unwrap_or_else(|| panic!("no probe in the page: {errors}"))
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&");
    let log = fs::read_to_string(&log).unwrap_or_default();
    Seen {
        probe: serde_json::from_str(&json).unwrap(),
        console: errors
            .lines()
            .filter(|l| l.contains("CONSOLE"))
            .map(str::to_owned)
            .collect(),
        network: requests(&log, &file.to_string_lossy()),
    }
}

/// Addresses in Chromium's network log that were asked for by the page: all that are not the
/// file itself, nor the browser's own services (which carry no initiator).
fn requests(log: &str, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in log.lines() {
        let line = line.trim().trim_end_matches(',');
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let Some(url) = event["params"]["url"].as_str() else {
            continue;
        };
        let initiator = event["params"]["initiator"]
            .as_str()
            .unwrap_or("not an origin");
        if !url.contains(page) && initiator != "not an origin" {
            found.push(format!("{url} by {initiator}"));
        }
    }
    found
}

fn sound(seen: &Seen, width: u32) {
    assert_eq!(
        seen.probe["seen"],
        Value::Array(vec![]),
        "errors at {width}"
    );
    assert_eq!(seen.console, Vec::<String>::new(), "console at {width}");
    assert_eq!(
        seen.probe["requests"],
        Value::Array(vec![]),
        "requests at {width}"
    );
    assert_eq!(seen.network, Vec::<String>::new(), "network at {width}");
    assert_eq!(
        seen.probe["inner"], width,
        "the window has the width that is tested"
    );
    for part in ["scroll", "scrollOpen"] {
        let wide = seen.probe[part].as_u64().unwrap();
        assert!(wide <= u64::from(width), "{part} {wide} at {width}");
    }
    assert_eq!(
        seen.probe["small"],
        Value::Array(vec![]),
        "illegible at {width}"
    );
    assert_eq!(seen.probe["unsorted"], Value::Array(vec![]));
    assert!(seen.probe["sorts"].as_u64().unwrap() > 20);
    for chart in seen.probe["charts"].as_array().unwrap() {
        assert!(chart["width"].as_f64().unwrap() >= 300.0, "{chart}");
        assert!(chart["height"].as_f64().unwrap() >= 100.0, "{chart}");
    }
}

fn number(cell: &Value) -> Option<f64> {
    cell["value"].as_str().map(|text| text.parse().unwrap())
}

/// The figures that the browser shows are those of the record.
fn same_figures(seen: &Seen, results: &Results) {
    let rows = seen.probe["tables"]["migration-table"].as_array().unwrap();
    assert_eq!(rows.len(), results.migrations.len());
    for (row, migration) in rows.iter().zip(&results.migrations) {
        assert_eq!(row[0]["text"], migration.arm.name());
        assert_eq!(number(&row[1]), Some(f64::from(migration.block)));
        let ran = !migration.rounds.is_empty();
        let cpu = ran.then_some(migration.cpu.source.total_s);
        assert_eq!(
            number(&row[12]),
            cpu,
            "{} {}",
            migration.arm,
            migration.block
        );
        let sent = ran.then_some(migration.pages_sent as f64);
        assert_eq!(number(&row[7]), sent);
        if migration.outcome.status == OutcomeStatus::Completed {
            assert_eq!(number(&row[3]), Some(migration.total_time_s));
        }
    }
    let mut shown: Vec<f64> = ["tax-table", "copy-table"]
        .iter()
        .flat_map(|table| seen.probe["tables"][table].as_array().unwrap())
        .flat_map(|row| row.as_array().unwrap())
        .filter_map(number)
        .collect();
    let mut recorded: Vec<f64> = results.comparisons.iter().map(|c| c.ratio).collect();
    shown.sort_by(f64::total_cmp);
    recorded.sort_by(f64::total_cmp);
    assert_eq!(shown, recorded);
    let copied = &seen.probe["copied"]["migration-table"];
    assert_eq!(
        copied["csv"],
        results.migrations.len() + 2,
        "a heading and a last line break"
    );
    assert_eq!(
        copied["markdown"],
        results.migrations.len() + 3,
        "a heading, a rule, a last line break"
    );
}

#[test]
fn a_browser_shows_a_report_as_it_is_meant() {
    let Some(browser) = chromium() else { return };
    let mut results = support::run(5, 1);
    let long = "a-name-without-any-space-".repeat(12);
    results.scenario.name = format!("<script>alert('{long}')</script>");
    results.scenario.analysis = long.clone();
    results.warnings[0].message = long.clone();
    results.command.push(long);
    let html = page::render(&results, &chart::of_run(&results)).unwrap();
    for width in [400, 800, 1600] {
        let seen = look(&browser, &html, width);
        sound(&seen, width);
        same_figures(&seen, &results);
        assert_eq!(seen.probe["charts"].as_array().unwrap().len(), 6);
    }
}

#[test]
fn a_browser_shows_runs_side_by_side() {
    let Some(browser) = chromium() else { return };
    let base = support::run(3, 1).scenario;
    let mut small = base.clone();
    small.migration.record = Size(16 << 10);
    let sides: Vec<(PathBuf, Results)> = [base.clone(), base, small]
        .into_iter()
        .enumerate()
        .map(|(n, scenario)| {
            (
                PathBuf::from(format!("run-{n}/results.json")),
                support::run_of(scenario, n as u64),
            )
        })
        .collect();
    let html = runs::page_of(&sides).unwrap();
    for width in [400, 1600] {
        let seen = look(&browser, &html, width);
        sound(&seen, width);
        assert_eq!(
            seen.probe["charts"].as_array().unwrap().len(),
            2,
            "a sweep and a trend"
        );
    }
}

#[test]
fn a_browser_shows_an_evacuation() {
    let Some(browser) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (fleet, out) = (folder.path().join("fleet.toml"), folder.path().join("out"));
    let long = "a-name-without-any-space-".repeat(5);
    let text = format!(
        "name = \"<script>alert('{long}')</script>\"\n\
         evacuation = {{ concurrent = [1, 2] }}\n\
         measure = {{ ways = [\"plain\", \"rustcrypto\", \"configured\"], arm = \"rustcrypto\", repetitions = 2, warmup = 0, window = \"10ms\" }}\n\
         [[guests]]\nname = \"web\"\ncount = 3\nguest = {{ memory = \"4MiB\" }}\n\
         storage = {{ size = \"1MiB\", rate = \"1MiB/s\" }}\n\
         [[guests]]\nname = \"{long}\"\nguest = {{ memory = \"4MiB\" }}\n"
    );
    fs::write(&fleet, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_migtax"))
        .arg("fleet")
        .arg(&fleet)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let html = fs::read_to_string(out.join("index.html")).unwrap();
    for width in [400, 800, 1600] {
        let seen = look(&browser, &html, width);
        sound(&seen, width);
        // When guests moved in each way, and what more of them at once bring.
        assert!(seen.probe["charts"].as_array().unwrap().len() >= 2);
    }
}

/// The looking itself: a page with faults is caught in each of them.
#[test]
fn faults_are_found() {
    let Some(browser) = chromium() else { return };
    let page = |head: &str, body: &str| {
        format!("<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>")
    };
    let table = "<table class=\"data\" id=\"t\"><thead><tr><th class=\"num\"><button class=\"sort\"></button>\
                 </th></tr></thead><tbody><tr><td data-value=\"2\"></td></tr><tr><td data-value=\"1\"></td></tr>\
                 </tbody></table><script>window.migtaxTables={markdown:String,csv:String}</script>";
    let wide = "<div style=\"width:900px\">wide</div><script>console.error('bad')</script>";
    let faulty = page(
        "",
        &format!("{wide}{table}<img src=\"http://away.test/x.png\">"),
    );
    // A browser that ends on a busy machine may not have written its network log to the end.
    let mut seen = look(&browser, &faulty, 400);
    for _ in 0..4 {
        if seen.network.is_empty() {
            seen = look(&browser, &faulty, 400);
        }
    }
    assert!(seen.probe["scroll"].as_u64().unwrap() > 400);
    assert_eq!(
        seen.console
            .iter()
            .filter(|line| line.contains("bad"))
            .count(),
        1
    );
    assert!(
        seen.network.iter().any(|url| url.contains("away.test")),
        "{:?}",
        seen.network
    );
    assert_eq!(
        seen.probe["unsorted"].as_array().unwrap().len(),
        1,
        "2, 1 do not rise"
    );

    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'\">";
    let seen = look(
        &browser,
        &page(policy, "<img src=\"http://away.test/x.png\">"),
        400,
    );
    assert!(
        seen.console.iter().any(|line| line.contains("away.test")),
        "{:?}",
        seen.console
    );
    assert!(seen.network.is_empty(), "{:?}", seen.network);
}

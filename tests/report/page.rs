//! Reports through the public interface: what the files say is what results.json holds.

use std::collections::HashSet;

use crate::support;
use migtax::arm::Arm;
use migtax::gate::simulate::{self, Simulation};
use migtax::report::chart;
use migtax::report::{self, console_table};
use migtax::results::{OutcomeStatus, Results};

/// A text file of the report, made without its pictures.
fn text(results: &Results, name: &str) -> String {
    match name {
        "index.html" => report::page::render(results, &chart::of_run(results)).unwrap(),
        "summary.md" => report::markdown::summary(results),
        "migrations.csv" => report::csv::migrations_csv(results),
        _ => panic!("no {name}"),
    }
}

/// Everything between tags, without style and script.
fn visible(page: &str) -> String {
    let mut out = String::new();
    let body = page
        .split("<body>")
        .nth(1)
        .unwrap()
        .split("<script>")
        .next()
        .unwrap();
    for part in body.split('<').skip(1) {
        out.push_str(part.split_once('>').unwrap().1);
        out.push(' ');
    }
    out
}

#[test]
fn the_page_holds_the_figures_of_the_record() {
    let results = support::run(5, 1);
    let page = text(&results, "index.html");
    for comparison in &results.comparisons {
        let value = format!("data-value=\"{}\"", comparison.ratio);
        assert!(
            page.contains(&value),
            "{:?} {:?}",
            comparison.arm,
            comparison.metric
        );
    }
    for migration in &results.migrations {
        if migration.outcome.status == OutcomeStatus::Completed {
            for value in [
                migration.total_time_s,
                migration.downtime.total_s,
                migration.cpu.source.stages.unwrap().seal_s,
            ] {
                assert!(page.contains(&format!("data-value=\"{value}\"")), "{value}");
            }
            assert!(page.contains(&format!("data-value=\"{}\"", migration.payload_bytes)));
        }
    }
    for arm in &results.arms {
        assert!(visible(&page).contains(arm.name.name()));
    }
    assert!(page.contains("migtax run default --reps 5"));
}

#[test]
fn no_figure_is_without_sense_and_no_ratio_without_doubt() {
    for blocks in [1, 2, 5, 20] {
        let results = support::run(blocks, 2);
        for name in ["index.html", "summary.md", "migrations.csv"] {
            let content = text(&results, name);
            let shown = if name == "index.html" {
                visible(&content)
            } else {
                content
            };
            for bad in ["NaN", "inf%", " inf ", "×inf"] {
                assert!(!shown.contains(bad), "{bad} in {name}");
            }
        }
        let summary = text(&results, "summary.md");
        for comparison in results
            .comparisons
            .iter()
            .filter(|c| c.against == Arm::PLAIN)
        {
            // The table says once what most of its intervals rest on; the other cells say it.
            let markdown = migtax::present::escape::markdown;
            let shown = markdown(&report::view::ratio(comparison));
            let interval = markdown(&report::view::interval(comparison));
            let basis = markdown(&report::view::basis(comparison));
            let own = summary.contains(&format!("| {shown} ({interval}, {basis}) |"));
            let shared = summary.contains(&format!("| {shown} ({interval}) |"))
                && summary.contains(&format!(
                    "Tax: each arm relative to plain, median of the ratios within blocks ({basis}"
                ));
            assert!(own || shared, "{shown} ({interval}, {basis}) in {summary}");
        }
    }
}

#[test]
fn what_did_not_complete_is_said_and_is_no_zero() {
    let results = support::run(5, 3);
    let page = visible(&text(&results, "index.html"));
    for words in [
        "not converged 5 of 5",
        "unsupported",
        "the CPU lacks aes, pclmulqdq",
        "completed 4 of 5, failed 1 of 5",
        "the destination ended: signal 9",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let first = page.split("Charts").next().unwrap();
    assert!(
        first.contains("Other arms"),
        "the first screen says how every arm ended"
    );
    assert!(first.contains("not converged 5 of 5") && first.contains("unsupported"));
    let table = console_table(&[&results]);
    let line = |arm: &str| {
        table
            .lines()
            .find(|line| line.starts_with(&format!("{arm} ")))
            .unwrap()
    };
    let stalled: Vec<&str> = line("rustcrypto-soft").split_whitespace().collect();
    assert_eq!(
        &stalled[1..8],
        ["not", "converged", "5", "of", "5", "–", "–"]
    );
    assert!(stalled[8].ends_with('*'), "{stalled:?}");
    let unsupported: Vec<&str> = line("rustcrypto").split_whitespace().collect();
    assert_eq!(unsupported[1..], ["unsupported", "–", "–", "–", "–"]);

    let csv = text(&results, "migrations.csv");
    let failed = csv.lines().find(|line| line.contains(",failed,")).unwrap();
    let header = csv.lines().next().unwrap();
    let total = header
        .split(',')
        .position(|column| column == "total_time_s")
        .unwrap();
    assert_eq!(failed.split(',').nth(total), Some(""));
}

#[test]
fn the_console_table_fits_a_terminal_and_gives_intervals() {
    let results = support::run(7, 4);
    let table = console_table(&[&results]);
    let (tables, rest) = table.split_once("\nrustcrypto-soft: ").unwrap();
    for line in tables.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let tax = tables
        .lines()
        .filter(|line| line.starts_with("aws-lc "))
        .nth(2)
        .unwrap();
    assert_eq!(tax.matches('(').count(), 3);
    assert!(tax.ends_with("98.4%  7"), "{tax}");
    assert!(
        rest.contains(
            "warning: intervals rest on few blocks (few_repetitions)\n  remedy: run with"
        )
    );
}

#[test]
fn a_matrix_is_one_table_and_says_each_note_once() {
    let point = |record: &str, seed| {
        let mut results = support::run(5, seed);
        results.scenario.point = [("migration.record".to_owned(), record.to_owned())].into();
        results
    };
    let (small, large) = (point("16KiB", 4), point("64KiB", 5));
    let table = console_table(&[&small, &large]);
    assert!(table.contains(": 2 points: "), "{table}");
    for once in [
        "arm  ",
        "\nrecord 16KiB\n",
        "\nrecord 64KiB\n",
        "With both hosts on one machine",
        "warning: intervals rest on few blocks",
    ] {
        assert_eq!(table.matches(once).count(), 1, "{once}: {table}");
    }
    let rows = |arm: &str| table.lines().filter(|line| line.starts_with(arm)).count();
    assert_eq!(rows("aws-lc "), 2, "{table}");
    assert!(table.contains("not converged 5 of 5"));
}

#[test]
fn names_and_texts_stay_text() {
    let evil = "<script>alert(1)</script>\" onload='x' | `code` \u{1b}[31m";
    let mut results = support::run(2, 5);
    results.scenario.name = evil.to_owned();
    results.scenario.analysis = evil.to_owned();
    results.host.cpu_model = evil.to_owned();
    results.command.push(evil.to_owned());
    results.warnings[0].message = evil.to_owned();
    results.arms[2].reason = Some(evil.to_owned());
    for migration in &mut results.migrations {
        migration.outcome.reason = Some(evil.to_owned());
    }
    let page = text(&results, "index.html");
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("&quot; onload=") && !page.contains("\" onload="));
    assert!(!page.contains('\u{1b}'));
    assert!(page.contains("&lt;script&gt;alert(1)"));
    let summary = text(&results, "summary.md");
    assert!(!summary.contains("<script") && !summary.contains('\u{1b}'));
    assert!(!console_table(&[&results]).contains('\u{1b}'));
}

#[test]
fn the_page_loads_nothing_and_stays_small() {
    let mut results = support::run(20, 6);
    // Ten arms' worth of migrations: three arms are run twice over.
    let more: Vec<_> = results
        .migrations
        .iter()
        .filter(|m| [Arm::COPY, Arm::AWS_LC, Arm::RUSTCRYPTO_SOFT].contains(&m.arm))
        .cloned()
        .collect();
    results.migrations.extend(more);
    let page = text(&results, "index.html");
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
    assert_eq!(
        page.replace("http://www.w3.org/2000/svg", "")
            .matches("http")
            .count(),
        1,
        "the policy's"
    );
    assert!(page.contains("default-src 'none'") || page.contains("default-src &#39;none&#39;"));
    for attribute in ["src=", "srcset=", "@import", "url("] {
        assert!(!page.contains(attribute), "{attribute}");
    }
    let links: Vec<&str> = page
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    for link in links {
        let target = link
            .strip_prefix('#')
            .unwrap_or_else(|| panic!("{link} leads away"));
        assert!(
            page.contains(&format!("id=\"{target}\"")),
            "{link} leads nowhere"
        );
    }
}

/// The colours of a PNG, and whether every pixel is inside.
fn colours(png: &[u8]) -> HashSet<(u8, u8, u8)> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert!(
        info.width >= 1600 && info.height >= 400,
        "{} x {}",
        info.width,
        info.height
    );
    assert_eq!(info.color_type, png::ColorType::Rgb);
    pixels
        .chunks_exact(3)
        .map(|pixel| (pixel[0], pixel[1], pixel[2]))
        .collect()
}

#[test]
fn pictures_hold_the_colours_of_their_arms() {
    let results = support::run(5, 7);
    let completed = [
        Arm::PLAIN,
        Arm::COPY,
        Arm::AWS_LC_SOFT,
        Arm::AWS_LC_AESNI,
        Arm::AWS_LC,
    ];
    let files = report::files(&results).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.0.as_str()).collect();
    assert_eq!(
        names.last(),
        Some(&"index.html"),
        "what a folder is opened by is written last"
    );
    for (name, png) in files.iter().filter(|file| file.0.ends_with(".png")) {
        let colours = colours(png);
        assert!(colours.len() > 10, "{name} is blank");
        let arms = match name.as_str() {
            // plain is what the others are relative to, and it has no cipher.
            "tax.png" | "cpu.png" => &completed[1..],
            // Its bars let the grid shine through.
            "rounds.png" => &[],
            _ => &completed[..],
        };
        for arm in arms {
            assert!(colours.contains(&arm.row().colour), "{name} lacks {arm}");
        }
        let absent = Arm::RUSTCRYPTO.row().colour;
        assert!(
            !colours.contains(&absent),
            "{name} shows an arm that did not run"
        );
    }
    assert_eq!(
        names.iter().filter(|name| name.ends_with(".png")).count(),
        6
    );
}

#[test]
fn the_csv_has_every_migration_and_reads_back() {
    let results = support::run(5, 8);
    let csv = text(&results, "migrations.csv");
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + results.migrations.len());
    let names: Vec<&str> = lines[0].split(',').collect();
    let column = |name: &str| names.iter().position(|n| *n == name).unwrap();
    for (line, migration) in lines[1..].iter().zip(&results.migrations) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[column("arm")], migration.arm.name());
        if migration.outcome.status == OutcomeStatus::Completed {
            assert_eq!(fields.len(), names.len());
            let number = |name: &str| fields[column(name)].parse::<f64>().unwrap();
            assert_eq!(number("total_time_s"), migration.total_time_s);
            assert_eq!(
                number("source_seal_s"),
                migration.cpu.source.stages.unwrap().seal_s
            );
            assert_eq!(number("bytes_on_wire"), migration.bytes_on_wire as f64);
        }
    }
}

#[test]
fn a_run_with_little_in_it_still_has_a_report() {
    let mut nothing = support::run(2, 9);
    nothing.migrations.clear();
    nothing.comparisons.clear();
    nothing.interrupted = true;
    let page = visible(&text(&nothing, "index.html"));
    assert!(page.contains("(interrupted)") && page.contains("not run"));
    assert!(
        page.contains("Nothing to draw in this run: tax, cpu, rounds, downtime, latency, wire.")
    );
    assert!(console_table(&[&nothing]).contains("no tax:"));

    let mut plain = support::run(2, 10);
    plain.arms.retain(|arm| arm.name == Arm::PLAIN);
    plain.migrations.retain(|m| m.arm == Arm::PLAIN);
    plain.comparisons.clear();
    for migration in &mut plain.migrations {
        migration.guest = Default::default();
    }
    let page = visible(&text(&plain, "index.html"));
    assert!(page.contains("No encrypted arm was asked for."));
    assert!(page.contains("Nothing to draw in this run: tax, latency."));
}

/// QEMU's arms and this program's own stand in groups, each with its own baseline, in tables and charts.
#[test]
fn groups_of_arms_stand_apart() {
    let mixed = simulate::results(&Simulation {
        arms: simulate::mixed(),
        ..Simulation::default()
    });
    let heading = |chart: &str, base: &str| match chart {
        "tax" => format!("relative to {base}"),
        _ => format!("{base} and the arms whose tax is over it"),
    };
    let groups = ["plain", "qemu-plain"];
    for figure in chart::of_run(&mixed) {
        let svg = figure.picture.svg().unwrap();
        for base in groups {
            let texts = svg.split(['<', '>']).map(str::trim);
            let times = texts
                .filter(|text| *text == heading(&figure.name, base))
                .count();
            // The chart of taxes has its rows twice: CPU, then times.
            let expected = if figure.name == "tax" { 2 } else { 1 };
            assert_eq!(times, expected, "{}: {base}", figure.name);
        }
    }
    let page = text(&mixed, "index.html");
    assert!(page.contains("id=\"tax-table\"") && page.contains("id=\"tax-table-qemu-plain\""));
    let row = page.split("<tr class=\"group\">").nth(1).unwrap();
    assert!(row.split("</th>").next().unwrap().contains("qemu-plain"));
    let own = support::run(5, 1);
    assert!(!text(&own, "index.html").contains("class=\"group\""));
    assert!(!text(&own, "index.html").contains("whose tax is over it"));
    let table = console_table(&[&mixed]);
    assert!(table.contains("\n\nqemu-plain "), "{table}");
}

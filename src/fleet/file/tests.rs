use super::*;
use crate::fleet::load;
use crate::results::Bound;

const FLEET: &str = r#"
name = "f"
evacuation = { concurrent = [1, 2] }
measure = { ways = ["plain", "aws-lc"] }
[[guests]]
name = "g"
count = 2
guest = { memory = "4MiB" }
"#;

fn moved(guest: &str, began_s: f64, time_s: f64) -> Moved {
    Moved {
        guest: guest.to_owned(),
        arm: Arm::PLAIN,
        sealed: false,
        policy_decision: PolicyDecision::Baseline,
        place: Place::Destination,
        reason: None,
        outcome: Some(OutcomeStatus::Completed),
        began_s: Some(began_s),
        ended_s: Some(began_s + time_s),
        setup_time_s: 0.001,
        total_time_s: time_s,
        disk_copy_s: None,
        downtime_s: 0.01,
        rounds: 2,
        payload_bytes: 4 << 20,
        bytes_on_wire: 5 << 20,
        source_cpu_s: time_s / 2.0,
        destination_cpu_s: time_s / 4.0,
        vcpu_cpu_s: 0.0,
        verified: true,
        writes_verified: None,
        progress: Some(1.0),
    }
}

/// Six blocks; the arm takes twice plain's time, and two at once half of the time of one.
fn file() -> FleetFile {
    let fleet = load::parse(FLEET, "f", None).unwrap();
    let mut file = FleetFile {
        schema_version: SCHEMA_VERSION,
        migtax_version: "0.1.0".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        interrupted: false,
        command: Vec::new(),
        host: crate::machine::describe(),
        fleet,
        arms: Vec::new(),
        not_run: BTreeMap::new(),
        evacuations: Vec::new(),
        comparisons: Vec::new(),
        warnings: Vec::new(),
    };
    for block in 0..6 {
        for course in file.courses() {
            let slower = if course.way == Way::PLAIN { 1.0 } else { 2.0 };
            let time_s = slower * (1.0 + f64::from(block) / 10.0) / f64::from(course.concurrent);
            let used = |until_s| CoresUsed {
                until_s,
                source: 0.5,
                destination: Some(0.25),
                under_way: 1,
            };
            file.evacuations.push(Evacuation {
                way: course.way,
                concurrent: course.concurrent,
                block,
                interrupted: false,
                time_s,
                guests: vec![
                    moved("g-1", 0.0, time_s / 2.0),
                    moved("g-2", time_s / 2.0, time_s / 2.0),
                ],
                cores: vec![used(time_s / 2.0), used(time_s)],
                peak_memory: PeakMemory::default(),
                coordinator: Coordination {
                    cpu_s: 0.001,
                    ..Coordination::default()
                },
            });
        }
    }
    file.derive();
    file
}

fn of<'a>(file: &'a FleetFile, metric: &str, concurrent: u32) -> &'a Comparison {
    let mut found = file.comparisons.iter();
    let found = found.find(|c| (c.metric.as_str(), c.concurrent) == (metric, concurrent));
    found.expect("a comparison")
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = file();
    file.write(folder.path()).unwrap();
    assert_eq!(read(folder.path()).unwrap(), file);
    assert_eq!(
        means_fleet(folder.path()),
        Some(folder.path().join(FILE_NAME))
    );
    assert_eq!(means_fleet(&folder.path().join("results.json")), None);
}

#[test]
fn ways_are_compared_block_by_block_and_number_by_number() {
    let file = file();
    assert_eq!(file.whole_blocks(), 6);
    for concurrent in [1, 2] {
        for metric in ["evacuation_time", "source_cpu", "guest_time"] {
            let c = of(&file, metric, concurrent);
            assert!(
                (c.ratio - 2.0).abs() < 1e-12 && c.blocks == 6 && c.bound.is_none(),
                "{c:?}"
            );
            assert!(
                (c.ci_low - 2.0).abs() < 1e-12 && (c.ci_high - 2.0).abs() < 1e-12,
                "{c:?}"
            );
        }
        assert!((of(&file, "downtime", concurrent).ratio - 1.0).abs() < 1e-12);
    }
    let added = of(&file, "evacuation_time", 1).added.unwrap();
    assert!((added - 1.25).abs() < 1e-12, "{added}");
}

/// Guests left behind make a time longer than what was waited for, and nothing shorter.
#[test]
fn a_host_that_was_not_evacuated_bounds_its_time() {
    let mut file = file();
    for made in file
        .evacuations
        .iter_mut()
        .filter(|made| made.way != Way::PLAIN)
    {
        made.guests[1].place = Place::Source;
        made.guests[1].outcome = Some(OutcomeStatus::NotConverged);
    }
    file.derive();
    let c = of(&file, "evacuation_time", 1);
    assert_eq!((c.bound, c.ci_high), (Some(Bound::Lower), f64::INFINITY));
    assert_eq!(of(&file, "source_cpu", 1).bound, None);
    let codes: Vec<&str> = file
        .warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect();
    assert!(codes.contains(&"left_behind"), "{codes:?}");
    // An infinite end survives the file.
    let json = serde_json::to_vec(&file).unwrap();
    assert_eq!(parse(&json).unwrap(), file);
}

#[test]
fn an_evacuation_that_was_interrupted_counts_in_nothing() {
    let mut file = file();
    let whole = file.comparisons.clone();
    let mut cut = file.evacuations[0].clone();
    (cut.block, cut.interrupted, cut.time_s) = (6, true, 100.0);
    cut.guests[1] = Moved {
        place: Place::Source,
        outcome: None,
        began_s: None,
        ended_s: None,
        ..cut.guests[1].clone()
    };
    file.evacuations.push(cut);
    file.derive();
    assert_eq!((file.whole_blocks(), file.comparisons.clone()), (6, whole));
    assert_eq!(parse(&serde_json::to_vec(&file).unwrap()).unwrap(), file);
}

#[test]
fn what_no_evacuation_can_have_been_is_refused() {
    type Edit = fn(&mut FleetFile);
    let edits: &[(&str, Edit)] = &[
        ("guests", |f| drop(f.evacuations[0].guests.pop())),
        ("guests", |f| {
            f.evacuations[0].guests[0].guest = "x".to_owned()
        }),
        ("time_s", |f| f.evacuations[0].time_s = -1.0),
        ("time_s", |f| f.evacuations[0].time_s = 1e300),
        ("block", |f| f.evacuations[0].block = u32::MAX),
        ("g-1", |f| f.evacuations[0].guests[0].downtime_s = -0.5),
        ("g-1", |f| f.evacuations[0].guests[0].began_s = None),
        ("g-2", |f| f.evacuations[0].guests[1].outcome = None),
        ("g-2", |f| {
            let moved = &mut f.evacuations[0].guests[1];
            (moved.began_s, moved.ended_s, moved.outcome) = (None, None, None);
        }),
        ("cores", |f| f.evacuations[0].cores[0].source = -1.0),
        ("guests.name", |f| f.fleet.guests[0].name = "g-2".to_owned()),
        ("evacuation.concurrent", |f| {
            f.fleet.evacuation.concurrent.clear()
        }),
        ("schema_version = 2", |f| f.schema_version = 2),
        ("schema_version = 0", |f| f.schema_version = 0),
    ];
    for (expected, edit) in edits {
        let mut file = file();
        edit(&mut file);
        let error = parse(&serde_json::to_vec(&file).unwrap()).expect_err(expected);
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.lines().count() == 1,
            "{expected}: {text}"
        );
    }
    assert!(parse(b"{}").is_err() && parse(b"").is_err());
    // Comparisons are not believed.
    let mut file = file();
    let honest = file.clone();
    file.comparisons[0].ratio = 0.5;
    assert_eq!(parse(&serde_json::to_vec(&file).unwrap()).unwrap(), honest);
}

#[test]
fn what_binds_is_what_was_used_up() {
    use crate::fleet::figures::{Binds, used};
    let mut file = file();
    file.host.cores = 4;
    let binds = |file: &FleetFile| used(file, &file.evacuations[0]).unwrap().binds;
    assert_eq!(binds(&file), Binds::Turns);
    let set = |file: &mut FleetFile, source: f64, destination: f64| {
        for sample in &mut file.evacuations[0].cores {
            (sample.source, sample.destination) = (source, Some(destination));
        }
    };
    set(&mut file, 2.0, 1.9);
    assert_eq!(binds(&file), Binds::Shared);
    file.fleet.source.cores = vec![0, 1];
    file.fleet.destination.cores = vec![2, 3];
    assert_eq!(binds(&file), Binds::Source);
    set(&mut file, 0.1, 1.9);
    assert_eq!(binds(&file), Binds::Destination);
    // 10 MiB in a second.
    file.fleet
        .set_link(crate::units::Bandwidth::BitsPerSecond(90_000_000));
    set(&mut file, 0.1, 0.1);
    assert_eq!(binds(&file), Binds::Link);
}

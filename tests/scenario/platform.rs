//! What stands where a scenario says nothing: a platform's values, and the rules of a throttle.

use std::time::Duration;

use migtax::precopy::{DowntimeGrowth, OnStall, Throttle};
use migtax::scenario;
use migtax::units::{Bandwidth, Size, Span};

/// The migration of a scenario with these values.
fn migration(values: &str) -> scenario::MigrationSpec {
    let text = format!("name = \"x\"\n[guest]\nmemory = \"4GiB\"\n[migration]\n{values}");
    let mut points = scenario::parse("x.toml", &text).unwrap();
    points.remove(0).migration
}

#[test]
fn a_platforms_values_stand_where_the_scenario_says_nothing() {
    let nova = migration("platform = \"nova\"");
    let shown = (nova.downtime_limit.to_string(), nova.time_limit.to_string());
    assert_eq!(nova.time_limit.0.as_secs(), 3200, "{shown:?}");
    assert_eq!(nova.downtime_limit.0.as_millis(), 500);
    let steps = DowntimeGrowth::Steps {
        steps: 10,
        every: Span(Duration::from_secs(300)),
    };
    assert_eq!(nova.downtime_growth, Some(steps));
    assert_eq!(nova.on_stall, OnStall::Abort);
    let set = migration(
        "platform = \"nova\"\ntime_limit = \"7s\"\ndowntime_limit = \"20ms\"\nmax_rounds = 5",
    );
    assert_eq!(set.time_limit.0.as_secs(), 7);
    assert_eq!((set.max_rounds, set.downtime_limit.0.as_millis()), (5, 20));
    assert_eq!(set.downtime_growth, None);
    let qemu = migration("platform = \"qemu\"");
    assert_eq!(qemu.link, Bandwidth::BitsPerSecond(1 << 30));
    assert_eq!(
        qemu.time_limit,
        scenario::MigrationSpec::default().time_limit
    );
    let vsphere = migration("platform = \"vsphere\"");
    assert_eq!(vsphere.on_stall, OnStall::Throttle);
    assert_eq!(vsphere.throttle, Some(Throttle::stun()));
    let patient = migration("platform = \"vsphere\"\non_stall = \"switchover\"");
    assert_eq!(patient.throttle, None);
    let kubevirt = migration("platform = \"kubevirt\"");
    // 4 GiB are 5 started GB.
    assert_eq!(kubevirt.time_limit.0.as_secs(), 750);
    assert_eq!(kubevirt.progress_timeout.map(|t| t.0.as_secs()), Some(150));
}

#[test]
fn a_flag_stands_before_the_platforms_value_and_memory_counts_as_it_is_set() {
    let file = std::env::temp_dir().join(format!("migtax-platform-{}.toml", std::process::id()));
    std::fs::write(
        &file,
        "name = \"x\"\n[migration]\nplatform = \"kubevirt\"\n",
    )
    .unwrap();
    let overrides = scenario::Overrides {
        migration: scenario::MigrationOverrides {
            stream: scenario::StreamOverrides {
                memory: Some(Size(2 << 30)),
                ..Default::default()
            },
            downtime_limit: Some(vec![Span(Duration::from_millis(7))]),
            ..Default::default()
        },
        ..Default::default()
    };
    let points = scenario::load_points(file.to_str(), &overrides);
    std::fs::remove_file(&file).unwrap();
    let migration = &points.unwrap()[0].migration;
    assert_eq!(migration.time_limit.0.as_secs(), 450);
    assert_eq!(migration.downtime_limit.0.as_millis(), 7);
}

#[test]
fn a_throttle_without_a_rule_is_qemus() {
    let spec = migration("on_stall = \"throttle\"");
    assert_eq!(spec.throttle, Some(Throttle::auto_converge()));
}

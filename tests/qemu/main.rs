use migtax::arm::Arm;
use migtax::qemu::{Plan, migrate};
use std::path::Path;

#[test]
fn try_it() {
    let mut scenario = migtax::scenario::load(None).unwrap();
    scenario.guest.memory = migtax::units::Size(256 << 20);
    scenario.migration.link = migtax::units::Bandwidth::Unlimited;
    if std::env::var("IDLE").is_ok() {
        scenario.workload.rate = migtax::units::Rate(0);
    }
    let plan = Plan {
        scenario: &scenario,
        arm: Arm::QEMU_PLAIN,
        stream_seed: 1,
        start_offset_ns: 0,
        pin: (&[], &[]),
        binary: Path::new("/usr/bin/qemu-system-x86_64"),
        accelerator: &std::env::var("ACCEL").unwrap_or("kvm".into()),
        credentials: None,
        tells_tls: false,
        interrupted: &|| false,
        started: &|| (),
    };
    let began = std::time::Instant::now();
    let mut told = migrate(&plan).unwrap();
    println!("{:?}", began.elapsed());
    told.qemu.lateness_ns.curve.clear();
    println!("{told:#?}");
}

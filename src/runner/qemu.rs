//! The arms that QEMU runs: what is found out of it before a run, and its migrations as results have
//! them.

use std::cell::Cell;
use std::path::Path;

use crate::arm::{Arm, Engine};
use crate::error::{Error, Result};
use crate::guest::content::ContentSpec;
use crate::host;
use crate::qemu::credentials::Credentials;
use crate::qemu::program::Program;
use crate::qemu::{self, Plan, Told, tls};
use crate::results::{
    ArmInfo, Cpu, DestinationCpu, Downtime, Migration, Outcome, OutcomeStatus, PolicyDecision,
    QemuInfo, QemuMask, QemuTls, Round, SourceCpu, Warning,
};
use crate::runner::policy::{self, Rules};
use crate::runner::process::{Mailbox, Message};
use crate::runner::task::{Made, NotMade, Task};
use crate::scenario::{Accelerator, QemuCompression, Scenario};
use crate::units::{Bandwidth, Rate, Size, Span};

/// Guest memory of the migrations that are made to look at an arm's TLS.
const LOOK_MEMORY: Size = Size(64 << 20);
/// A mask that acts costs at least so many times the CPU: without its instructions AES is slower by
/// ten times and more, and what else there is to a migration is the smaller part.
const MASK_ACTS: f64 = 2.0;

/// What a run's results say of an arm of QEMU's, and the accelerator that its migrations have.
///
/// # Errors
/// If the scenario asks of this QEMU what it does not have.
pub fn arm_info(
    arm: Arm,
    scenario: &Scenario,
    rules: Rules,
    hides_aes: bool,
    program: &Result<Program, String>,
) -> Result<ArmInfo> {
    let mut info = ArmInfo {
        name: arm,
        backend: arm.library().to_owned(),
        backend_version: String::new(),
        engaged_features: Vec::new(),
        supported: false,
        reason: None,
        policy_decision: PolicyDecision::Unsupported,
        qemu: None,
    };
    let program = match program {
        Ok(program) => program,
        Err(missing) => {
            info.reason = Some(missing.clone());
            return Ok(info);
        }
    };
    program.check(&scenario.qemu, scenario.migration.streams)?;
    let told = host::capabilities(arm, hides_aes);
    let (decision, reason) = policy::decide(arm, rules, &told, &told);
    info.supported = told.missing_features.is_empty();
    (info.policy_decision, info.reason) = (decision, reason);
    let mut qemu = program.info(&scenario.qemu).map_err(Error::CannotRun)?;
    if decision == PolicyDecision::Encrypted {
        match look_at_tls(arm, scenario, program, &qemu) {
            Ok(tls) => {
                info.backend_version = tls.library.clone();
                let engaged = arm.row().required_features.iter();
                info.engaged_features = engaged.map(|f| (*f).to_owned()).collect();
                qemu.tls = Some(tls);
            }
            Err(reason) => {
                info.supported = false;
                info.policy_decision = PolicyDecision::Unsupported;
                info.reason = Some(reason);
            }
        }
    }
    info.qemu = Some(qemu);
    Ok(info)
}

/// What must not be overlooked of an arm's figures.
pub fn warning(info: &ArmInfo, scenario: &Scenario) -> Option<Warning> {
    let qemu = info.qemu.as_ref()?;
    let fell_back = qemu.accelerator == "tcg" && scenario.qemu.accelerator == Accelerator::Auto;
    fell_back.then(|| Warning {
        code: "no_kvm".to_owned(),
        message: format!(
            "{}: the guest runs under TCG, which takes CPU time that KVM does not",
            info.name
        ),
        remedy: "use a machine with a working /dev/kvm, or compare with runs under TCG alone"
            .to_owned(),
    })
}

/// Short migrations of an arm: what they negotiate, and whether its mask acts.
fn look_at_tls(
    arm: Arm,
    scenario: &Scenario,
    program: &Program,
    info: &QemuInfo,
) -> Result<QemuTls, String> {
    let mut small = scenario.clone();
    small.guest.memory = LOOK_MEMORY;
    small.guest.content = ContentSpec {
        zero: 0.0,
        constant: 0.0,
        compressible: 0.0,
    };
    small.workload.rate = Rate(0);
    small.migration.link = Bandwidth::Unlimited;
    small.measure.window = Span(std::time::Duration::ZERO);
    let look = |arm: Arm| -> Result<Told, String> {
        let credentials = Credentials::make().map_err(|error| error.to_string())?;
        let plan = Plan {
            scenario: &small,
            arm,
            stream_seed: small.guest.seed,
            start_offset_ns: 0,
            pin: (&[], &[]),
            binary: &program.path,
            accelerator: &info.accelerator,
            credentials: Some((credentials.source(), credentials.destination())),
            tells_tls: true,
            interrupted: &|| false,
            started: &|| credentials.wipe(),
        };
        let told = qemu::migrate(&plan).map_err(|_| "interrupted".to_owned())?;
        match told.outcome.status {
            OutcomeStatus::Completed => Ok(told),
            _ => Err(told.outcome.reason.unwrap_or_default()),
        }
    };
    let told = look(arm)?;
    let negotiated =
        tls::negotiated(&told.source_said).ok_or("GnuTLS did not tell what was negotiated")?;
    let mask = match arm.row().environment {
        [] => None,
        _ => {
            let unmasked = Arm::all()
                .find(|other| other.engine() == arm.engine() && other.row().environment.is_empty())
                .ok_or("there is no arm without the mask")?;
            let mask = QemuMask {
                unmasked_cpu_s_per_gib: cpu_s_per_gib(&look(unmasked)?),
                masked_cpu_s_per_gib: cpu_s_per_gib(&told),
            };
            if mask.masked_cpu_s_per_gib < MASK_ACTS * mask.unmasked_cpu_s_per_gib {
                return Err(format!(
                    "the mask does not act on this GnuTLS: {:.2} CPU-s/GiB with it, {:.2} without",
                    mask.masked_cpu_s_per_gib, mask.unmasked_cpu_s_per_gib
                ));
            }
            Some(mask)
        }
    };
    Ok(QemuTls {
        library: negotiated.library,
        protocol: negotiated.protocol,
        cipher_suite: negotiated.cipher_suite,
        mask,
    })
}

fn cpu_s_per_gib(told: &Told) -> f64 {
    let payload: u64 = told.rounds.iter().map(|round| round.payload_bytes).sum();
    let cpu_s = told.source.total_s + told.destination.total_s;
    cpu_s * (1u64 << 30) as f64 / payload.max(1) as f64
}

/// Makes one migration of an arm of QEMU's.
///
/// # Errors
/// If it was interrupted, or no credentials can be made.
pub fn migrate(
    binary: &Path,
    accelerator: &str,
    task: &Task<'_>,
    mailbox: &Mailbox<'_>,
) -> Result<Made, NotMade> {
    let is_interrupted = Cell::new(false);
    let interrupted = || {
        let mut messages = mailbox.inbox.try_iter();
        let interrupt = messages.any(|(_, message)| matches!(message, Message::Interrupted));
        is_interrupted.set(is_interrupted.get() | interrupt);
        is_interrupted.get()
    };
    let credentials = match task.arm.engine() {
        Engine::Qemu { tls: true } if task.sealed => Some(Credentials::make()?),
        _ => None,
    };
    let plan = Plan {
        scenario: task.scenario,
        arm: task.arm,
        stream_seed: task.stream_seed,
        start_offset_ns: task.start_offset_ns,
        pin: task.pin,
        binary,
        accelerator,
        credentials: credentials.as_ref().map(|c| (c.source(), c.destination())),
        tells_tls: false,
        interrupted: &interrupted,
        started: &|| credentials.iter().for_each(Credentials::wipe),
    };
    let told = qemu::migrate(&plan).map_err(|qemu::Interrupted| NotMade::Interrupted)?;
    Ok(Made {
        migration: migration(told, task),
        tracker: None,
        unseen_cpu_s: 0.0,
    })
}

/// The migration as it goes into the results: what QEMU does not tell is absent.
fn migration(told: Told, task: &Task<'_>) -> Migration {
    let sum = |field: fn(&Round) -> u64| told.rounds.iter().map(field).sum();
    let compression = task.scenario.qemu.compression;
    let (payload, wire) = (sum(|r| r.payload_bytes), sum(|r| r.bytes_on_wire));
    let is_counted_before = compression != QemuCompression::None && wire >= payload;
    let uncounted = is_counted_before.then(|| Warning {
        code: "uncompressed_bytes".to_owned(),
        message: format!(
            "{}: this QEMU counts bytes before {} compresses them",
            task.arm,
            compression.name()
        ),
        remedy: "read its times and CPU; its bytes on the wire are fewer than those shown"
            .to_owned(),
    });
    let mut outcome = told.outcome;
    if !task.sealed && task.arm.is_encrypted() && outcome.status == OutcomeStatus::Completed {
        outcome = Outcome::fell_back();
    }
    Migration {
        arm: task.arm,
        block: task.block,
        stream_seed: Some(task.stream_seed),
        outcome,
        total_time_s: told.total_time_s,
        setup_time_s: told.setup_time_s,
        channel: None,
        downtime: Downtime {
            total_s: told.downtime_s,
            ..Downtime::default()
        },
        pages_sent: sum(|r| r.pages_sent),
        zero_pages: sum(|r| r.zero_pages),
        memory_bytes: task.scenario.guest.memory.0,
        payload_bytes: payload,
        compressed_bytes: None,
        bytes_on_wire: wire,
        rounds: told.rounds,
        device_state_bytes: None,
        records: None,
        seal_workers: None,
        socket_calls: None,
        source_resident_bytes: None,
        destination_resident_bytes: None,
        source_huge_bytes: None,
        destination_huge_bytes: None,
        cpu: Cpu {
            source: SourceCpu {
                total_s: told.source.total_s,
                vcpu_s: told.source.vcpu_s,
                ..SourceCpu::default()
            },
            destination: DestinationCpu {
                total_s: told.destination.total_s,
                ..DestinationCpu::default()
            },
        },
        verified: told.verified,
        guest: told.guest,
        storage: None,
        source_counted: Default::default(),
        destination_counted: Default::default(),
        qemu: Some(Box::new(told.qemu)),
        warnings: uncounted.into_iter().collect(),
    }
}

//! The reader of the gate's configuration.
//!
//! Input: the text of a gate.toml.

use std::fmt::Write as _;

use migtax::figures::Direction;
use migtax::gate::Config;
use migtax::gate::config::Undecided;

use crate::refusal::one_line;

/// Whether the input was accepted.
pub fn check(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    match Config::parse(text) {
        Ok(config) => {
            within_bounds(&config);
            let again = Config::parse(&written(&config)).expect("what was written is read");
            assert_eq!(again, config);
            true
        }
        Err(error) => {
            one_line(&error);
            line_exists(&error.to_string(), text);
            false
        }
    }
}

/// A configuration with which the gate can decide something, and can fail.
fn within_bounds(config: &Config) {
    let share = |value: f64, most: f64| value > 0.0 && value < most;
    assert!(share(config.false_alarm, 0.5) && share(config.confirm.first, 0.5));
    assert!(share(config.confirm.again, 0.5));
    assert!(share(config.power, 1.0) && config.power >= 0.5);
    assert!(share(config.pass_confidence, 1.0) && config.pass_confidence >= 0.5);
    assert!((4..=50).contains(&config.criterion.batches));
    assert!(share(config.instructions.threshold, 1.0));
    let sane = |floor: f64, tolerance: f64| 0.0 <= floor && floor < tolerance && tolerance <= 10.0;
    assert!(sane(
        config.criterion.relative_floor,
        config.criterion.tolerance
    ));
    assert!(sane(
        config.undivided.relative_floor,
        config.undivided.tolerance
    ));
    assert!(!config.metrics.is_empty());
    let mut names: Vec<_> = config.metrics.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), config.metrics.len(), "each metric once");
    for metric in &config.metrics {
        assert_eq!(metric.direction, metric.name.row().direction);
        assert!(sane(metric.relative_floor, metric.tolerance));
        assert!(metric.absolute_floor.is_finite() && metric.absolute_floor >= 0.0);
    }
}

/// A refusal that names a line names one that the text has.
fn line_exists(refusal: &str, text: &str) {
    let Some(rest) = refusal.strip_prefix("line ") else {
        return;
    };
    let digits = rest.split(':').next().unwrap_or_default();
    let line: usize = digits.parse().expect("a line's number");
    assert!(
        (1..=text.matches('\n').count() + 1).contains(&line),
        "{refusal}"
    );
}

fn written(config: &Config) -> String {
    let mut out = format!(
        "false_alarm = {:?}\npower = {:?}\npass_confidence = {:?}\n\
         [undivided]\nrelative_floor = {:?}\ntolerance = {:?}\n\
         [confirm]\nfirst = {:?}\nagain = {:?}\n\
         [criterion]\nrelative_floor = {:?}\ntolerance = {:?}\nbatches = {}\n\
         [instructions]\nthreshold = {:?}\n",
        config.false_alarm,
        config.power,
        config.pass_confidence,
        config.undivided.relative_floor,
        config.undivided.tolerance,
        config.confirm.first,
        config.confirm.again,
        config.criterion.relative_floor,
        config.criterion.tolerance,
        config.criterion.batches,
        config.instructions.threshold,
    );
    for metric in &config.metrics {
        let direction = match metric.direction {
            Direction::LowerIsBetter => "lower-is-better",
            Direction::HigherIsBetter => "higher-is-better",
        };
        let undecided = match metric.undecided {
            Undecided::Blocks => "blocks",
            Undecided::Noted => "noted",
        };
        let _ = write!(
            out,
            "[[metric]]\nname = \"{}\"\ndirection = \"{direction}\"\nrelative_floor = {:?}\n\
             absolute_floor = {:?}\ntolerance = {:?}\nundecided = \"{undecided}\"\n",
            metric.name.name(),
            metric.relative_floor,
            metric.absolute_floor,
            metric.tolerance,
        );
    }
    out
}

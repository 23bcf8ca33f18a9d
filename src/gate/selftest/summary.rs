//! The self-test's figures summed up, held against the design, and as tables.

use super::{BUILD_BLOCKS, CURVE, Claim, Condition, CurvePoint, Method, RUN_BLOCKS, SelfTest};
use crate::gate::noise::Scales;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;

impl SelfTest {
    /// False alarms and A/A trials over all conditions.
    pub fn false_alarms(&self) -> (u32, u32) {
        let sum = |field: fn(&Condition) -> u32| self.conditions.iter().map(field).sum();
        (sum(|c| c.false_alarms), sum(|c| c.trials))
    }

    /// Found and all trials with a claimed effect, over all conditions.
    pub fn power(&self) -> (u32, u32) {
        let sum = |field: fn(&Condition) -> u32| self.conditions.iter().map(field).sum();
        (sum(|c| c.found), sum(|c| c.power_trials))
    }

    /// What is not as designed; three standard errors are allowed for chance.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let error = |p: f64, n: u32| 3.0 * (p * (1.0 - p) / f64::from(n.max(1))).sqrt();
        for c in &self.conditions {
            let name = format!("{:?}, {} noise, {} machine", c.method, c.shape, c.machine);
            let rate = f64::from(c.false_alarms) / f64::from(c.trials.max(1));
            if rate > self.designed_false_alarm + error(self.designed_false_alarm, c.trials) {
                failures.push(format!("{name}: false alarms {rate:.4}"));
            }
            let power = f64::from(c.found) / f64::from(c.power_trials.max(1));
            if c.power_trials > 0
                && power < self.designed_power - error(self.designed_power, c.power_trials)
            {
                failures.push(format!("{name}: power {power:.3}"));
            }
        }
        for c in &self.claims {
            let power = f64::from(c.found) / f64::from(c.trials.max(1));
            if power < self.designed_power - error(self.designed_power, c.trials) {
                let name = format!("{:?}, {} {}", c.method, c.arm, c.stage);
                failures.push(format!("{name}: power {power:.3}"));
            }
        }
        failures
    }

    /// The figures as tables for a terminal.
    pub fn text(&self) -> String {
        let share = |part: u32, all: u32| f64::from(part) / f64::from(all.max(1));
        let figure = |share: f64| Cell::figure(text::fine_percent(share), share);
        let method = |method: Method| Cell::text(format!("{method:?}").to_lowercase());
        let mut columns = ["method", "noise", "machine"].map(Column::text).to_vec();
        columns.extend(
            [
                "A/A trials",
                "false alarms",
                "inconclusive",
                "claimed",
                "power",
                "passed",
            ]
            .map(|name| Column::figures(name, "")),
        );
        let condition = |c: &Condition| {
            vec![
                method(c.method),
                Cell::text(c.shape.to_string()),
                Cell::text(c.machine.to_string()),
                Cell::count(u64::from(c.trials)),
                figure(share(c.false_alarms, c.trials)),
                figure(share(c.inconclusive, c.trials)),
                figure(c.claimed),
                figure(share(c.found, c.power_trials)),
                figure(share(c.passed, c.power_trials)),
            ]
        };
        let scales = Scales::recorded();
        let caption = format!(
            "designed for {} false alarms and {} power; recorded noise: seal {}, transmit {}, block {}; {RUN_BLOCKS} blocks a run, {BUILD_BLOCKS} blocks (twice) a build; claimed and power: seal",
            text::fine_percent(self.designed_false_alarm),
            text::percent(self.designed_power),
            text::percent(scales.seal),
            text::percent(scales.transmit),
            text::percent(scales.block),
        );
        let rows = self.conditions.iter().map(condition).collect();
        let mut out = Table::new("conditions", caption, columns, rows).terminal();
        let ((alarms, trials), (found, all)) = (self.false_alarms(), self.power());
        out.push_str(&format!(
            "\nall: {alarms} false alarms in {trials} A/A trials ({}), {found} of {all} claimed effects found ({})\n\n",
            text::fine_percent(share(alarms, trials)),
            text::fine_percent(share(found, all))
        ));
        let mut columns = ["method", "arm", "slowed", "metric"]
            .map(Column::text)
            .to_vec();
        columns.extend(
            ["share", "trials", "undecided", "claimed", "power", "passed"]
                .map(|name| Column::figures(name, "")),
        );
        let claim = |c: &Claim| {
            vec![
                method(c.method),
                Cell::text(c.arm.name()),
                Cell::text(c.stage.to_string()),
                Cell::text(c.metric),
                figure(c.share),
                Cell::count(u64::from(c.trials)),
                figure(share(c.undecided, c.trials)),
                figure(c.claimed),
                figure(share(c.found, c.trials)),
                figure(share(c.passed, c.trials)),
            ]
        };
        let caption = "by metric: undecided for some arm though nothing changed; the rise of one arm's that is claimed to be found, and how often it was; share: by how much the metric rises if the slowed stage costs twice as much";
        let rows = self.claims.iter().map(claim).collect();
        out.push_str(&Table::new("claims", caption, columns, rows).terminal());
        out.push('\n');
        let mut columns = ["method", "slowed"].map(Column::text).to_vec();
        columns.extend(CURVE.map(|rise| Column::figures(text::percent(rise), "")));
        let curve = |points: &[CurvePoint]| {
            let mut row = vec![
                method(points[0].method),
                Cell::text(points[0].stage.to_string()),
            ];
            row.extend(points.iter().map(|point| {
                let [regressed, _, pass] = point.shares.map(text::percent);
                Cell::text(format!("{regressed} / {pass}"))
            }));
            row
        };
        let caption =
            "found / passed, by the rise of one arm's stage; normal noise, steady machine";
        let rows = self.curve.chunks(CURVE.len()).map(curve).collect();
        out.push_str(&Table::new("curve", caption, columns, rows).terminal());
        for failure in self.failures() {
            out.push_str(&format!("not as designed: {failure}\n"));
        }
        out
    }
}

//! What protects streams below their records, and what that costs beside sealing the records.

use crate::arm::{Arm, Channel};
use crate::figures::{self, Metric};
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::view::{self, ArmView};
use crate::results::{Migration, Results};
use crate::units::GIB;

/// What was agreed on, and what it took; nothing of a run whose arms seal their records themselves.
pub fn channels(results: &Results) -> Table {
    let mut columns = ["arm", "protocol", "cipher"].map(Column::text).to_vec();
    columns.extend([
        Column::figures("handshake", "ms"),
        Column::figures("tunnel's source CPU", "CPU-s/GiB"),
        Column::figures("tunnel's destination CPU", "CPU-s/GiB"),
    ]);
    let rows = view::arms(results).into_iter().filter_map(|arm| {
        let channel = arm.measured.iter().find_map(|m| m.channel.as_ref())?;
        let median = |value: &dyn Fn(&Migration) -> Option<f64>| {
            arm.median(value).map_or_else(Cell::none, |median| {
                Cell::figure(text::sig3(median.median), median.median)
            })
        };
        let per_gib = |m: &Migration, cpu_s: Option<f64>| {
            let gib = m.payload_bytes as f64 / GIB;
            cpu_s.filter(|_| gib > 0.0).map(|cpu_s| cpu_s / gib)
        };
        Some(vec![
            Cell::arm(arm.arm()),
            Cell::text(channel.protocol.clone()),
            Cell::text(channel.cipher.clone()),
            median(&|m| Some(m.channel.as_ref()?.handshake_s * 1e3)),
            median(&|m| per_gib(m, m.cpu.source.tunnel_s)),
            median(&|m| per_gib(m, m.cpu.destination.tunnel_s)),
        ])
    });
    let caption = "What protects the streams, medians (the handshake is a part of the setup)";
    Table::new("channels-table", caption, columns, rows.collect())
}

/// The answer that these arms are run for, if a run has both: what TLS adds where cipher and library are the
/// same, with all the instructions that there are.
pub fn sentence(results: &Results) -> Option<String> {
    let is_meant = |arm: &Arm| arm.channel() == Some(Channel::Tls) && !arm.is_software();
    let mut arms = results.arms.iter().map(|info| info.name);
    let arm = arms.find(is_meant)?;
    let against = arm.baselines().nth(1)?;
    let part = |metric: Metric, side| {
        let comparison = figures::comparison(results, arm, against, metric)?;
        let [figure, interval] = view::added(comparison)?;
        let unit = metric.row().unit;
        let part = format!("{figure} {unit} on the {side} ({interval})");
        Some((part, comparison))
    };
    let (source, first) = part(Metric::SOURCE_CPU_PER_GIB, "source")?;
    let (destination, _) = part(Metric::DESTINATION_CPU_PER_GIB, "destination")?;
    Some(format!(
        "What TLS's framing costs at equal cipher, {arm} over {against} with records of {}: {source}, {destination}. \
         (level {}, n {})",
        results.scenario.migration.record,
        text::level(first.level),
        first.blocks
    ))
}

/// What each adds to the nearest arm that does less: TLS to sealing the records with the same cipher, a tunnel to TLS.
pub fn framing(results: &Results) -> Table {
    let sides = [Metric::SOURCE_CPU_PER_GIB, Metric::DESTINATION_CPU_PER_GIB];
    let mut columns = vec![Column::text("arm"), Column::text("over")];
    columns.extend(sides.map(|m| Column::figures(m.label(), m.row().unit).defined("tax")));
    columns.extend([Column::figures("level", ""), Column::figures("n", "")]);
    let row = |arm: &ArmView<'_>| {
        let arm = arm.arm();
        let against = arm.channel().and_then(|_| arm.baselines().nth(1))?;
        let found = sides.map(|metric| figures::comparison(results, arm, against, metric));
        let first = found.into_iter().flatten().next()?;
        let mut row = vec![Cell::arm(arm), Cell::arm(against)];
        row.extend(found.map(|comparison| {
            comparison
                .and_then(|c| Some((c.added?, view::added(c)?)))
                .map_or_else(Cell::none, |(value, [figure, interval])| {
                    Cell::figure(figure, value).under(interval)
                })
        }));
        row.push(Cell::figure(text::level(first.level), first.level));
        row.push(Cell::count(u64::from(first.blocks)));
        Some(row)
    };
    let rows = view::arms(results).iter().filter_map(row).collect();
    let caption = "Added to another protected arm: median difference within blocks (interval)";
    Table::new("framing-table", caption, columns, rows)
}

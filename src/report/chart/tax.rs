//! Tax per arm: every block's ratio to the arm's baseline as a dot, the median and its interval over them.

use super::axes::{self, HEAD, Plot, WIDTH};
use super::palette::Ink;
use super::picture::{Anchor, LABEL, Picture};
use super::scale::{Scale, Spread};
use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::present::text;
use crate::report::view::{self, ArmView};
use crate::results::{Bound, Results};

const PANELS: [[Metric; 2]; 2] = [
    [Metric::SOURCE_CPU_PER_GIB, Metric::DESTINATION_CPU_PER_GIB],
    [Metric::TOTAL_TIME, Metric::DOWNTIME],
];
const ROW: f64 = 29.0;
/// For `level 96.1%, n 100, 100 not converged`.
const NAMES: f64 = 204.0;
const FIGURE: f64 = 58.0;
const GAP: f64 = 20.0;

fn title(metric: Metric) -> String {
    format!("{}, ratio", metric.title())
}

/// The chart, or `None` if no arm has a tax.
pub fn draw(results: &Results) -> Option<Picture> {
    let arms: Vec<_> = view::arms(results)
        .into_iter()
        .filter(|arm| arm.arm() != arm.arm().base())
        .collect();
    let clock = results.scenario.measure.clock;
    let means = |metrics: &&[Metric; 2]| metrics.iter().all(|m| m.means_something_under(clock));
    let panels: Vec<&[Metric; 2]> = PANELS.iter().filter(means).collect();
    let all: Vec<Metric> = panels.iter().copied().flatten().copied().collect();
    let (mut low, mut high, mut any) = (1.0f64, 1.0f64, false);
    for arm in &arms {
        for metric in &all {
            if let Some(tax) = view::tax(results, arm.arm(), *metric) {
                any = true;
                let ratios = figures::paired_ratios(results, arm.arm(), arm.arm().base(), *metric);
                let values = ratios
                    .into_values()
                    .flat_map(|ratio| [ratio.low, ratio.high]);
                let shown = |value: &f64| *value > 0.0 && value.is_finite();
                for value in values.chain([tax.ci_low, tax.ci_high]).filter(shown) {
                    low = low.min(value);
                    high = high.max(value);
                }
            }
        }
    }
    if !any {
        return None;
    }
    let range = ((low / 1.1).min(0.8), (high * 1.1).max(1.6));
    let layout = Layout::of(&arms);
    let height = layout.height;
    let panel = height + 58.0;
    let mut picture = Picture::new(
        WIDTH,
        HEAD + panels.len() as f64 * panel,
        "Tax per arm: ratios to its baseline within blocks, with medians and intervals",
    );
    axes::head(
        &mut picture,
        &match layout.headings.as_slice() {
            [] => format!("Tax: cost relative to {}", arms[0].arm().base()),
            _ => "Tax: cost relative to the baseline of each group".to_owned(),
        },
        "Ratios within blocks, logarithmic. Small dots: blocks. Large dot and bar: median, interval. Hollow: a bound.",
    );
    let width = (WIDTH - NAMES - GAP) / 2.0;
    for (row, metrics) in panels.iter().enumerate() {
        let top = HEAD + row as f64 * panel + 22.0;
        for (y, base) in &layout.headings {
            axes::group_over(&mut picture, top + y, *base);
        }
        for (arm, y) in arms.iter().zip(&layout.rows) {
            let y = top + y;
            let x = NAMES - 10.0;
            let mut taxes = (metrics.iter()).filter_map(|m| view::tax(results, arm.arm(), *m));
            let doubt = taxes.next().map(view::basis).unwrap_or_default();
            axes::row(&mut picture, (x, y), arm.arm(), &doubt);
        }
        for (column, metric) in metrics.iter().enumerate() {
            let left = NAMES + column as f64 * (width + GAP);
            let plot = Plot {
                left,
                right: left + width - FIGURE,
                top,
                bottom: top + height,
            };
            draw_panel(
                &mut picture,
                results,
                (&arms, &layout),
                *metric,
                &plot,
                range,
            );
        }
    }
    Some(picture)
}

/// Where rows of arms stand, from the top of a panel: groups of arms apart where there are several.
struct Layout {
    /// The middle of each arm's row.
    rows: Vec<f64>,
    /// Headings of groups, and their baselines.
    headings: Vec<(f64, Arm)>,
    height: f64,
}

impl Layout {
    fn of(arms: &[ArmView<'_>]) -> Layout {
        let base = |arm: &ArmView<'_>| arm.arm().base();
        let groups: Vec<_> = arms.chunk_by(|a, b| base(a) == base(b)).collect();
        let (mut rows, mut headings, mut height) = (Vec::new(), Vec::new(), 0.0);
        for group in &groups {
            if groups.len() > 1 {
                headings.push((height, base(&group[0])));
                height += axes::GROUP;
            }
            for _ in *group {
                rows.push(height + 0.5 * ROW);
                height += ROW;
            }
        }
        Layout {
            rows,
            headings,
            height,
        }
    }
}

fn draw_panel(
    picture: &mut Picture,
    results: &Results,
    (arms, layout): (&[ArmView<'_>], &Layout),
    metric: Metric,
    plot: &Plot,
    range: (f64, f64),
) {
    let scale = Scale::new(Spread::Log, range.0, range.1, (plot.left, plot.right));
    picture.bold((plot.left, plot.top - 8.0), LABEL, &title(metric));
    axes::x_axis(picture, plot, &scale, 5, "", |tick| {
        format!("×{}", text::tick(tick))
    });
    let one = scale.at(1.0);
    picture.line((one, plot.top), (one, plot.bottom), 1.5, Ink::Muted);
    for (arm, y) in arms.iter().zip(&layout.rows) {
        let y = plot.top + y;
        let Some(tax) = view::tax(results, arm.arm(), metric) else {
            picture.note((one + 6.0, y + 4.0), Anchor::Start, &arm.outcome());
            continue;
        };
        let ink = Ink::Arm(arm.arm());
        let ratios = figures::paired_ratios(results, arm.arm(), arm.arm().base(), metric);
        for (block, ratio) in &ratios {
            let (sign, value) = match (ratio.low > 0.0, ratio.high.is_finite()) {
                (true, true) => ("", ratio.low),
                (true, false) => ("> ", ratio.low),
                (false, true) => ("< ", ratio.high),
                (false, false) => continue,
            };
            let x = scale.at(value);
            match sign {
                "" => picture.dot((x, y + 6.0), 2.0, ink, 0.55),
                _ => picture.ring((x, y + 6.0), 2.4, ink),
            }
            let tip = format!("{}, block {block}: {sign}{}", arm.arm(), text::tax(value));
            picture.tip((x - 3.0, y + 3.0), (6.0, 6.0), tip);
        }
        let (x_low, x_high) = (scale.at(tax.ci_low), scale.at(tax.ci_high));
        let middle = scale.at(tax.ratio);
        picture.rect((x_low, y - 4.0), (x_high - x_low, 4.0), ink, 0.55);
        let at = (middle, y - 2.0);
        match tax.bound {
            None => picture.dot(at, 4.5, ink, 1.0),
            Some(Bound::Lower) => axes::bound(picture, at, 4.5, (1.0, 0.0), ink),
            Some(Bound::Upper) => axes::bound(picture, at, 4.5, (-1.0, 0.0), ink),
        }
        let (name, shown) = (arm.arm(), view::ratio(tax));
        let tip = format!("{name} {}: {shown} ({})", title(metric), view::doubt(tax));
        picture.tip((x_low - 4.0, y - 7.0), (x_high - x_low + 8.0, 9.0), tip);
        picture.bold((plot.right + 6.0, y + 4.0), LABEL, &shown);
    }
}

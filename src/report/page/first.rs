//! The first screen: the answer in words with its figures, whether each arm converged, cores per
//! 10 Gb/s, and the warnings that weaken it.

use std::fmt::Write as _;

use crate::present::text::{self, html};
use crate::report::answer::{self, Answer};
use crate::report::view;
use crate::results::Results;

/// The first screen.
pub fn screen(results: &Results) -> String {
    let mut out = String::from("<header>\n");
    let interrupted = if results.interrupted {
        " (interrupted)"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<p class=\"kicker\">What does encryption cost a live migration? Scenario <b>{}</b></p>\n\
         <h1>{}</h1>\n\
         <p class=\"where\">{}, {} cores, kernel {}; {} guest, {} blocks{interrupted}, {}</p>\n</header>",
        html(&results.scenario.title()),
        headline(results),
        html(&results.host.cpu_model),
        results.host.cores,
        html(&results.host.kernel),
        results.scenario.guest.memory,
        view::blocks(results),
        html(&results.started_at),
    );
    out.push_str("<section id=\"answer\" aria-label=\"The answer\">\n");
    for answer in answer::answers(results) {
        out.push_str(&card(&answer));
    }
    out.push_str("</section>\n");
    others(&mut out, results);
    let _ = writeln!(
        out,
        "<p class=\"note\">Ratios to plain within blocks, medians with intervals. {}</p>",
        html(view::sides_note(results))
    );
    warnings(&mut out, results);
    out
}

/// The answer as a heading: figures large, their doubts smaller.
fn headline(results: &Results) -> String {
    let answers = answer::answers(results);
    let Some(best) = answer::best(&answers).filter(|best| best.measured) else {
        return html(&answer::headline(results));
    };
    let of = |text: &str| format!("<span class=\"of\">{}</span>", html(text));
    let taxes: Vec<_> = best
        .parts
        .iter()
        .filter_map(|p| Some((p, p.tax.as_ref()?)))
        .collect();
    let parts: Vec<String> = taxes
        .iter()
        .map(|(part, tax)| {
            format!(
                "{}&nbsp;{} {}",
                html(&text::tax(tax.ratio)),
                html(part.noun),
                of(&format!("({})", view::interval(tax)))
            )
        })
        .collect();
    let mut doubts: Vec<String> = taxes
        .iter()
        .map(|(_, tax)| format!("level {}, {} blocks", text::level(tax.level), tax.blocks))
        .collect();
    doubts.dedup();
    format!(
        "{} {} {}",
        answer::OPENING,
        answer::list(&parts),
        of(&format!("with {}; {}", best.name, doubts.join(" / ")))
    )
}

fn card(answer: &Answer) -> String {
    let mut out = format!(
        "<article class=\"{}\"><h2>{} <code>{}</code></h2>\n",
        answer.arm.name(),
        html(&text::sentence(answer.name)),
        answer.arm.name()
    );
    if answer.measured {
        out.push_str("<p class=\"taxes\">");
        let parts: Vec<String> = answer.parts.iter().filter_map(tax).collect();
        out.push_str(&parts.join(" "));
        out.push_str("</p>\n");
    }
    if !answer.measured {
        let verdict = html(&text::sentence(&answer.verdict));
        let _ = writeln!(out, "<p class=\"verdict\">{verdict}: no ratio</p>");
    }
    let _ = writeln!(out, "<p class=\"outcome\">{}</p>", html(&answer.outcome));
    if let Some(cores) = answer::cores_words(answer) {
        let _ = writeln!(out, "<p class=\"cores\">{}</p>", html(&cores));
    }
    out.push_str("</article>\n");
    out
}

fn tax(part: &answer::Part) -> Option<String> {
    let tax = part.tax.as_ref()?;
    let none = if answer::undecided(tax) {
        "; no difference can be told"
    } else {
        ""
    };
    Some(format!(
        "<span class=\"tax\" data-value=\"{}\"><b>{}</b> <span>{} <small>{}{none}</small></span></span>",
        text::exact(tax.ratio),
        html(&text::tax(tax.ratio)),
        html(part.noun),
        html(&view::doubt(tax)),
    ))
}

/// How the arms without a card ended.
fn others(out: &mut String, results: &Results) {
    let shown = view::headline_arms(results);
    let others: Vec<String> = view::arms(results)
        .iter()
        .filter(|arm| !shown.contains(&arm.arm()))
        .map(|arm| format!("<code>{}</code> {}", arm.arm(), html(&arm.outcome())))
        .collect();
    if !others.is_empty() {
        let _ = writeln!(
            out,
            "<p class=\"others\">Other arms: {}.</p>",
            others.join("; ")
        );
    }
}

fn warnings(out: &mut String, results: &Results) {
    if results.warnings.is_empty() {
        return;
    }
    out.push_str("<aside id=\"warnings\"><h2>What weakens this</h2><ul>\n");
    for warning in &results.warnings {
        let _ = writeln!(
            out,
            "<li data-code=\"{}\">{} <span class=\"remedy\">{}</span></li>",
            html(&warning.code),
            html(&warning.message),
            html(&warning.remedy)
        );
    }
    out.push_str("</ul></aside>\n");
}

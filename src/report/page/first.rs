//! The first screen: the answer in words with its figures, whether each arm converged, cores per
//! 10 Gb/s, and the warnings that weaken it.

use std::fmt::Write as _;

use crate::report::answer::{self, Answer};
use crate::report::text::{self, html};
use crate::report::view;
use crate::results::Results;

/// The first screen.
pub fn screen(results: &Results) -> String {
    let mut out = String::from("<header>\n");
    let interrupted = if results.interrupted { " (interrupted)" } else { "" };
    let _ = writeln!(
        out,
        "<p class=\"kicker\">What does encryption cost a live migration? Scenario <b>{}</b></p>\n\
         <h1>{}</h1>\n\
         <p class=\"where\">{}, {} cores, kernel {}; {} guest, {} blocks{interrupted}, {}</p>\n</header>",
        html(&results.scenario.name),
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
    let _ = writeln!(
        out,
        "</section>\n<p class=\"note\">Ratios to plain within blocks, medians. {}.</p>",
        html(answer::VMWARE_RULE)
    );
    warnings(&mut out, results);
    out
}

fn headline(results: &Results) -> String {
    let answers = answer::answers(results);
    let best = answers.iter().find(|a| a.measured).or(answers.first());
    let of = best.map_or(String::new(), |best| {
        format!(" <span class=\"of\">({})</span>", html(best.name))
    });
    format!("{}{of}", html(&answer::headline(results)))
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
    let _ = writeln!(out, "<p class=\"outcome\">{}</p>", html(&answer.outcome));
    if let Some(cores) = answer::cores_words(answer) {
        let _ = writeln!(out, "<p class=\"cores\">{}</p>", html(&cores));
    }
    out.push_str("</article>\n");
    out
}

fn tax(part: &answer::Part) -> Option<String> {
    let tax = part.tax.as_ref()?;
    let none = if answer::undecided(tax) { "; the interval holds no difference" } else { "" };
    Some(format!(
        "<span class=\"tax\" data-value=\"{}\"><b>{}</b> {} <small>{}{none}</small></span>",
        text::exact(tax.ratio),
        html(&text::tax(tax.ratio)),
        html(part.noun),
        html(&view::doubt(tax)),
    ))
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

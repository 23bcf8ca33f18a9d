//! For CI systems that show test results.

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use crate::gate::verdict::{Report, Row, Verdict};
use crate::present::escape;

/// One suite, one case a row: regressed fails, incomparable is an error, inconclusive is an error
/// where it makes the whole inconclusive and skipped where it is only noted.
pub(super) fn junit(report: &Report) -> String {
    let mut suite = TestSuite::new("migtax gate");
    for (name, value) in [
        ("verdict", report.verdict.name()),
        ("sentence", &report.sentence),
        ("baseline", &report.baseline),
        ("candidate", &report.candidate),
    ] {
        suite.add_property(Property::new(name, escape::terminal(value)));
    }
    suite.add_test_cases(report.rows.iter().map(case));
    let mut file = quick_junit::Report::unnamed();
    file.add_test_suite(suite);
    // Writing into memory fails for nothing that a report holds.
    file.to_string()
        .unwrap_or_else(|error| format!("<!-- {} -->\n", escape::terminal(&error.to_string())))
}

fn case(row: &Row) -> TestCase {
    let why = escape::terminal(&format!("{}: {}", row.verdict.name(), row.sentence));
    let status = match row.verdict {
        Verdict::Pass | Verdict::Improved => None,
        Verdict::Regressed => Some(TestCaseStatus::non_success(NonSuccessKind::Failure)),
        Verdict::Inconclusive if !row.blocking => Some(TestCaseStatus::skipped()),
        Verdict::Inconclusive | Verdict::Incomparable => {
            Some(TestCaseStatus::non_success(NonSuccessKind::Error))
        }
    };
    let name = escape::terminal(&row.metric);
    let mut case = match status {
        Some(mut status) => {
            status.set_message(why);
            TestCase::new(name, status)
        }
        None => {
            let mut case = TestCase::new(name, TestCaseStatus::success());
            case.set_system_out(why);
            case
        }
    };
    case.set_classname(format!("migtax.{}", escape::terminal(&row.arm)));
    case
}

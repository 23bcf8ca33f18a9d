//! Who goes first.

use super::spec::{Fleet, Order};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::plan::{Hosts, Planner};

/// Courses that a guest's time is predicted from: an order needs no narrow interval.
const COURSES: usize = 10;

/// The guests by their numbers, who goes first in front. Guests that are alike stay as listed.
///
/// # Errors
/// If predictions are needed and there are no costs, or none of the arm.
pub fn order(fleet: &Fleet, arm: Arm, costs: Option<&Planner>) -> Result<Vec<usize>> {
    let guests = &fleet.guests;
    let mut order: Vec<usize> = (0..guests.len()).collect();
    match fleet.evacuation.order {
        Order::AsListed => {}
        Order::LargestFirst => order.sort_by_key(|at| std::cmp::Reverse(guests[*at].memory())),
        Order::LeastBusyFirst => order.sort_by_key(|at| guests[*at].scenario.workload.rate.0),
        Order::ShortestFirst => {
            let times = predicted(fleet, arm, costs)?;
            order.sort_by(|a, b| times[*a].total_cmp(&times[*b]));
        }
    }
    Ok(order)
}

/// What each guest's migration is predicted to take by itself, seconds.
fn predicted(fleet: &Fleet, arm: Arm, costs: Option<&Planner>) -> Result<Vec<f64>> {
    let Some(planner) = costs else {
        return Err(Error::invalid(
            "evacuation.order",
            fleet.evacuation.order,
            "needs the costs of a run: --costs RUN",
        ));
    };
    let hosts = Hosts::of(planner.run());
    let time = |guest: &super::spec::Guest| {
        let predicted = planner.predict_from(arm, &guest.scenario, hosts, COURSES)?;
        let none = || {
            let allowed = format_args!("a run that has costs of {arm}").to_string();
            Error::invalid("--costs", planner.run().scenario.title(), allowed)
        };
        predicted.map(|p| p.total_time_s).ok_or_else(none)
    };
    fleet.guests.iter().map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::load;

    #[test]
    fn guests_go_in_the_order_that_is_asked_for() {
        let text = r#"
            name = "o"
            [[guests]]
            name = "a"
            guest = { memory = "4MiB" }
            workload = { rate = "2MiB/s" }
            [[guests]]
            name = "b"
            guest = { memory = "8MiB" }
            workload = { rate = "3MiB/s" }
            [[guests]]
            name = "c"
            guest = { memory = "8MiB" }
            workload = { rate = "1MiB/s" }
        "#;
        let mut fleet = load::parse(text, "o", None).unwrap();
        for (by, expected) in [
            (Order::AsListed, [0, 1, 2]),
            (Order::LargestFirst, [1, 2, 0]),
            (Order::LeastBusyFirst, [2, 0, 1]),
        ] {
            fleet.evacuation.order = by;
            assert_eq!(order(&fleet, Arm::PLAIN, None).unwrap(), expected, "{by}");
        }
        fleet.evacuation.order = Order::ShortestFirst;
        let error = order(&fleet, Arm::PLAIN, None).unwrap_err().to_string();
        assert!(error.contains("--costs"), "{error}");
    }
}

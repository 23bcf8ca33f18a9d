use super::*;
use crate::stats::Random;

fn question(method: Method, start: u64, precision: f64) -> Question {
    Question {
        method,
        start,
        lowest: 16,
        highest: 1_000_000_000,
        precision,
    }
}

/// Runs a search to its end; what it asked, in order.
fn carry_out(search: &mut Search, mut converges: impl FnMut(u64) -> (f64, bool)) -> Vec<u64> {
    let mut asked = Vec::new();
    while let Standing::Open(rate) = search.standing() {
        assert!(search.left() > 0);
        asked.push(rate);
        let (wrote, converged) = converges(rate);
        search.told(rate, wrote, converged);
        assert!(asked.len() <= MOST_PROBES, "it does not end");
    }
    assert_eq!(search.left(), 0);
    asked
}

#[test]
fn an_exact_search_finds_the_last_write_a_second() {
    for frontier in [16, 17, 1_000, 25_599, 25_600, 25_601, 999_999_998] {
        for start in [16, 100, 25_600, 1_000_000_000] {
            let mut search = Search::new(question(Method::Exact, start, 0.0));
            let asked = carry_out(&mut search, |rate| (rate as f64, rate <= frontier));
            assert_eq!(search.standing(), Standing::Precise, "{frontier} {start}");
            let known = search.known();
            assert_eq!(known.low, Some(frontier as f64));
            assert_eq!(known.high, Some(frontier as f64 + 1.0));
            assert_eq!(known.rate, known.low);
            assert!(asked.len() < 50, "{}", asked.len());
            let distinct: std::collections::BTreeSet<_> = asked.iter().collect();
            assert_eq!(distinct.len(), asked.len(), "nothing is asked twice");
        }
    }
}

#[test]
fn an_exact_search_stops_where_it_is_told_to() {
    let mut search = Search::new(question(Method::Exact, 1_000, 0.05));
    let asked = carry_out(&mut search, |rate| (rate as f64, rate <= 123_456));
    let known = search.known();
    let (low, high) = (known.low.unwrap(), known.high.unwrap());
    assert!(low <= 123_456.0 && 123_456.0 < high && high / low <= 1.05);
    assert!(asked.len() < 16, "{asked:?}");
}

#[test]
fn an_exact_search_that_expects_the_frontier_asks_twice() {
    let mut search = Search::new(question(Method::Exact, 100, 0.0)).expecting(5_000, 5_001);
    let asked = carry_out(&mut search, |rate| (rate as f64, rate <= 5_000));
    assert_eq!(asked, [5_000, 5_001]);
    // What was expected may be wrong.
    for frontier in [4_000, 6_000] {
        let mut search = Search::new(question(Method::Exact, 100, 0.0)).expecting(5_000, 5_001);
        carry_out(&mut search, |rate| (rate as f64, rate <= frontier));
        assert_eq!(search.known().low, Some(frontier as f64));
    }
}

/// Convergence need not be monotone: what is found is a pair of neighbours with different answers.
#[test]
fn both_sides_of_an_exact_frontier_were_probed() {
    let converges = |rate: u64| rate < 3_000 || (rate < 5_000 && rate % 7 < 4);
    for start in [100, 2_999, 4_001, 40_000] {
        let mut search = Search::new(question(Method::Exact, start, 0.0));
        carry_out(&mut search, |rate| (rate as f64, converges(rate)));
        let known = search.known();
        let (low, high) = (known.low.unwrap() as u64, known.high.unwrap() as u64);
        assert!(converges(low) && !converges(high) && high == low + 1);
    }
}

#[test]
fn frontiers_beyond_what_can_be_probed_are_bounds() {
    for method in [Method::Exact, Method::Noisy] {
        let mut search = Search::new(question(method, 1_000, 0.05));
        carry_out(&mut search, |rate| (rate as f64, true));
        assert_eq!(search.standing(), Standing::Above);
        let known = search.known();
        assert_eq!((known.rate, known.high), (None, None));
        assert_eq!(known.low, Some(1e9));

        let mut search = Search::new(question(method, 1_000, 0.05));
        carry_out(&mut search, |rate| (rate as f64, false));
        assert_eq!(search.standing(), Standing::Below);
        let known = search.known();
        assert_eq!((known.rate, known.low), (None, None));
        assert_eq!(known.high, Some(16.0));

        // A guest that can't write faster than 50,000 pages a second.
        let mut search = Search::new(question(method, 1_000, 0.05));
        let asked = carry_out(&mut search, |rate| ((rate as f64).min(50_000.0), true));
        assert_eq!(search.standing(), Standing::Above);
        assert_eq!(search.known().low, Some(50_000.0));
        assert!(asked.len() < 8, "{asked:?}");
    }
    let mut search = Search::new(question(Method::Noisy, 1_000, 0.05));
    assert_eq!(search.known().low, None);
    search.told(1_000, 1_000.0, true);
    assert_eq!(search.known().low, Some(1_000.0));
    assert_eq!(search.known().rate, None);
}

/// Answers by a logistic curve around the frontier, some of them whatever the rate.
fn simulated(frontier: f64, width: f64, lapses: f64, random: &mut Random) -> Search {
    let mut search = Search::new(question(Method::Noisy, 25_600, 0.05));
    carry_out(&mut search, |rate| {
        let beyond = (rate as f64 / frontier).ln() / width;
        let likely = lapses + (1.0 - 2.0 * lapses) / (1.0 + beyond.exp());
        (rate as f64, random.uniform() < likely)
    });
    search
}

#[test]
fn intervals_of_a_noisy_search_hold_the_frontier_as_often_as_they_say() {
    // Width of the change, lapses, and probes on average at most.
    for (case, (width, lapses, most)) in [
        (0.005, 0.0, 60.0),
        (0.02, 0.0, 60.0),
        (0.05, 0.01, 90.0),
        (0.1, 0.0, 150.0),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut held, mut probes, mut far, mut precise) = (0, 0, 0, 0);
        const RUNS: u64 = 150;
        for run in 0..RUNS {
            let mut random = Random::new(run, case as u64);
            let frontier = 1_000.0 * (1.0 + 300.0 * random.uniform());
            let search = simulated(frontier, width, lapses, &mut random);
            let known = search.known();
            let (low, high) = (known.low.unwrap(), known.high.unwrap());
            held += u32::from(low <= frontier && frontier <= high);
            far += u32::from((known.rate.unwrap() / frontier).ln().abs() > 0.10);
            precise += u32::from(search.standing() == Standing::Precise);
            probes += search.probes();
        }
        let share = f64::from(held) / RUNS as f64;
        let mean = probes as f64 / RUNS as f64;
        let told = format!("width {width}: held {share}, {mean} probes, {far} far, {precise}");
        // Of 150 runs at 95%, three standard deviations are 5.4 points.
        assert!(share > 0.89, "{told}");
        assert!(mean < most, "{told}");
        assert!(far <= 3, "{told}");
        assert!(f64::from(precise) >= 0.95 * RUNS as f64, "{told}");
    }
}

#[test]
fn two_noisy_searches_agree_within_a_tenth() {
    let apart = |run: u64| {
        let mut found = [0, 1].map(|side| {
            let mut random = Random::new(run, side + 100);
            simulated(80_000.0, 0.03, 0.0, &mut random)
                .known()
                .rate
                .unwrap()
        });
        found.sort_by(f64::total_cmp);
        found[1] / found[0]
    };
    let agreeing = (0..100).filter(|run| apart(*run) < 1.10).count();
    assert!(agreeing >= 97, "{agreeing} of 100");
}

//! Null distributions of rank sums, exact, by counting.
//!
//! Under the null hypothesis every sign pattern (paired) or every split (two samples) of the
//! observed ranks is equally likely, so the distribution of a rank sum follows from counting
//! them. Ranks are doubled throughout: tied values share a mean rank, which may be a half.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// `tail[s]` is P(rank sum >= s), for a sum of doubled ranks.
pub(super) type Tail = Arc<Vec<f64>>;

/// P(sum of the chosen doubled ranks >= s) when each rank is chosen with probability 1/2.
fn signed_tail_of(doubled: &[usize]) -> Vec<f64> {
    let total: usize = doubled.iter().sum();
    let mut density = vec![0.0; total + 1];
    density[0] = 1.0;
    let mut reach = 0;
    for &rank in doubled {
        for sum in (0..=reach).rev() {
            density[sum] *= 0.5;
            density[sum + rank] += density[sum];
        }
        reach += rank;
    }
    accumulate(density)
}

/// P(sum of `chosen` of the doubled ranks >= s) when every such choice is equally likely.
fn split_tail_of(doubled: &[usize], chosen: usize) -> Vec<f64> {
    let mut largest = doubled.to_vec();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let most: usize = largest.iter().take(chosen).sum();
    // ways[k][s]: probability weight of k chosen so far with sum s. Every step scales by the
    // chance that a rank is chosen, so the numbers stay within range for large samples.
    let all = doubled.len() as f64;
    let share = chosen as f64 / all;
    let mut ways = vec![vec![0.0; most + 1]; chosen + 1];
    ways[0][0] = 1.0;
    for &rank in doubled {
        for k in (0..=chosen).rev() {
            for sum in (0..=most).rev() {
                let with = match (k.checked_sub(1), sum.checked_sub(rank)) {
                    (Some(fewer), Some(rest)) => ways[fewer][rest],
                    _ => 0.0,
                };
                ways[k][sum] = ways[k][sum] * (1.0 - share) + with * share;
            }
        }
    }
    let mut density = ways.swap_remove(chosen);
    let total: f64 = density.iter().sum();
    for p in &mut density {
        *p /= total;
    }
    accumulate(density)
}

/// Turns a density into upper tails, adding from the small end of the tail.
fn accumulate(mut density: Vec<f64>) -> Vec<f64> {
    let mut sum = 0.0;
    for p in density.iter_mut().rev() {
        sum += *p;
        *p = sum.min(1.0);
    }
    density
}

/// Kept between calls: a self-test asks for the same few distributions many thousand times.
static UNTIED: LazyLock<Mutex<HashMap<(usize, usize), Tail>>> =
    LazyLock::new(|| Mutex::new(HashMap::new()));

fn untied(key: (usize, usize), make: impl FnOnce() -> Vec<f64>) -> Tail {
    let mut kept = UNTIED.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(kept.entry(key).or_insert_with(|| Arc::new(make())))
}

fn is_untied(doubled: &[usize]) -> bool {
    let mut sorted = doubled.to_vec();
    sorted.sort_unstable();
    sorted.iter().enumerate().all(|(i, r)| *r == 2 * (i + 1))
}

/// Tail of the sum of positive doubled ranks under random signs.
pub(super) fn signed_tail(doubled: &[usize]) -> Tail {
    if is_untied(doubled) {
        untied_signed_tail(doubled.len())
    } else {
        Arc::new(signed_tail_of(doubled))
    }
}

/// The same for the ranks 1 to n.
pub(super) fn untied_signed_tail(n: usize) -> Tail {
    untied((n, 0), || signed_tail_of(&untied_ranks(n)))
}

/// Tail of the sum of `chosen` doubled ranks under random splits.
pub(super) fn split_tail(doubled: &[usize], chosen: usize) -> Tail {
    if is_untied(doubled) {
        untied_split_tail(doubled.len() - chosen, chosen)
    } else {
        Arc::new(split_tail_of(doubled, chosen))
    }
}

/// The same for the ranks 1 to `others + chosen`.
pub(super) fn untied_split_tail(others: usize, chosen: usize) -> Tail {
    untied((others + 1, chosen + 1), || {
        split_tail_of(&untied_ranks(others + chosen), chosen)
    })
}

fn untied_ranks(n: usize) -> Vec<usize> {
    (1..=n).map(|rank| 2 * rank).collect()
}

/// Doubled ranks of values, tied values sharing their mean rank.
pub(super) fn doubled_ranks(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let mut last = first;
        while last + 1 < order.len() && values[order[last + 1]] == values[order[first]] {
            last += 1;
        }
        for index in &order[first..=last] {
            ranks[*index] = first + last + 2;
        }
        first = last + 1;
    }
    ranks
}

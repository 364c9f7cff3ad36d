//! The likeliest tokens of a row, computed on the host for the callers who ask.

use super::event::{Event, TokenLogprob};
use crate::error::Result;
use crate::prompt::Formatter;

/// Adds the token's own log-probability and the `count` likeliest tokens to a token event.
pub(super) fn fill(event: &mut Event, row: &[f32], count: usize, formatter: &Formatter) -> Result<()> {
    let norm = log_sum_exp(row);
    event.logprob = event.token.and_then(|id| row.get(id as usize)).map(|l| l - norm);
    event.top_logprobs = top(row, count)
        .into_iter()
        .map(|token| {
            let logprob = row[token as usize] - norm;
            Ok(TokenLogprob { token, logprob, text: formatter.decode(&[token], false)? })
        })
        .collect::<Result<_>>()?;
    Ok(())
}

fn log_sum_exp(row: &[f32]) -> f32 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&l| f64::from(l - max).exp()).sum();
    max + sum.ln() as f32
}

/// Indices of the `count` largest values, largest first, lower index first among equals.
fn top(row: &[f32], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    let by_value = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    let count = count.min(order.len());
    if count < order.len() {
        order.select_nth_unstable_by(count, by_value);
        order.truncate(count);
    }
    order.sort_unstable_by(by_value);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_values_come_first() {
        assert_eq!(top(&[1.0, 5.0, 3.0, 5.0], 3), [1, 3, 2]);
        assert_eq!(top(&[1.0, 2.0], 9), [1, 0]);
    }

    #[test]
    fn probabilities_sum_to_one() {
        let row = [10.0, 9.0, -5.0];
        let norm = log_sum_exp(&row);
        let sum: f32 = row.iter().map(|l| (l - norm).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

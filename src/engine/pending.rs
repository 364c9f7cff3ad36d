//! What comes next of an answer: a token that is being drawn, tokens that have to come, or a row that the host is to see.

use mlx_rs::Array;

use super::guide;
use super::run::Run;
use crate::error::{Code, Error, Result};
use crate::nn::mlx::{self, async_eval};
use crate::sampling::{Choice, Drawn};

/// What comes next of an answer, and has not been handed out.
pub(super) enum Pending {
    /// A token that has been sampled and not been read.
    Sampled {
        drawn: Drawn,
        /// `f32 [V]`: the row that it was sampled from, as the model gave it.
        logits: Array,
    },
    /// Tokens that had to come, without rows of logits.
    Forced(Vec<u32>),
}

/// What a token is to be drawn from.
pub(super) struct Row {
    /// `f32 [V]`: as the model gave it.
    pub logits: Array,
    /// What the guide adds to each logit.
    mask: Option<Vec<f32>>,
}

pub(super) enum Next {
    Pending(Pending),
    /// The host's own processor sees it first.
    Row(Row),
}

impl Pending {
    /// What MLX has to compute for it.
    pub fn arrays(&self) -> Vec<&Array> {
        match self {
            Pending::Sampled { drawn, logits } => vec![drawn.token(), drawn.report(), logits],
            Pending::Forced(_) => Vec::new(),
        }
    }

    /// Sets MLX to work on it.
    pub fn issue(&self) -> Result<()> {
        async_eval(self.arrays())
    }

    pub fn count(&self) -> usize {
        match self {
            Pending::Sampled { .. } => 1,
            Pending::Forced(ids) => ids.len(),
        }
    }

    /// The tokens as ids of the next rows, `u32 [count]`.
    pub fn ids(&self) -> Result<Array> {
        match self {
            Pending::Sampled { drawn, .. } => Ok(drawn.token().reshape(&[1])?),
            Pending::Forced(ids) => Ok(Array::from_slice(ids, &[ids.len() as i32])),
        }
    }

    /// Waits for the tokens, which come after `generated` others. An error where none could be chosen.
    pub fn read(&self, generated: usize) -> Result<Vec<u32>> {
        let (drawn, logits) = match self {
            Pending::Forced(ids) => return Ok(ids.clone()),
            Pending::Sampled { drawn, logits } => (drawn, logits),
        };
        let report = mlx::words(drawn.report()).map_err(|e| e.context("the sampled token"))?;
        let what = match Choice::of(&report)? {
            Choice::Token(id) => return Ok(vec![id]),
            Choice::NotFinite => "make logits infinite",
            Choice::Nothing => "leave no token to choose",
        };
        check(&mlx::floats(logits).map_err(|e| e.context("the logits row"))?, generated)?;
        let number = generated + 1;
        let message = format!("the options of the answer {what} for generated token {number}");
        Err(Error::invalid_argument(message).with("generated_token", number))
    }
}

impl Row {
    /// Draws from the row after the `held` ids, or from what the host's processor made of it. Nothing is evaluated.
    pub fn draw(self, run: &mut Run, held: &[u32], processed: Option<&[f32]>) -> Result<Pending> {
        let array = |row: &[f32]| Array::from_slice(row, &[row.len() as i32]);
        let mut row = processed.map_or_else(|| self.logits.clone(), array);
        if let Some(mask) = &self.mask {
            row = row.add(array(mask))?;
        }
        let edits = run.job.settings.repeats.edits(held);
        Ok(Pending::Sampled { drawn: run.sampler.sample(&row, &edits)?, logits: self.logits })
    }
}

impl Next {
    /// What follows the `held` ids, whose last has `logits` `[V]`: by the guide, where there is one. Nothing is evaluated.
    pub fn after(run: &mut Run, held: &[u32], logits: Array) -> Result<Next> {
        let room = run.job.max_tokens.saturating_sub(run.generated);
        let room = room.min(run.job.context_length.saturating_sub(held.len()));
        let allowed = match &mut run.job.guide {
            Some(guide) => guide.next(run.job.output.place(), room)?,
            None => guide::Next::Free,
        };
        let mask = match allowed {
            guide::Next::Free => None,
            guide::Next::Masked(mask) => Some(mask),
            guide::Next::Forced(ids) => {
                ids.iter().try_for_each(|id| run.sampler.took(*id))?;
                return Ok(Next::Pending(Pending::Forced(ids)));
            }
            guide::Next::Done => return Ok(Next::Pending(Pending::Forced(Vec::new()))),
        };
        let row = Row { logits, mask };
        match run.job.host_processes {
            true => Ok(Next::Row(row)),
            false => row.draw(run, held, None).map(Next::Pending),
        }
    }

    /// A token that comes whatever the row after the last position says.
    pub fn given(id: u32, logits: Array) -> Result<Next> {
        Ok(Next::Pending(Pending::Sampled { drawn: Drawn::given(id)?, logits }))
    }

    /// What MLX has to compute for it.
    pub fn arrays(&self) -> Vec<&Array> {
        match self {
            Next::Pending(pending) => pending.arrays(),
            Next::Row(row) => vec![&row.logits],
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Next::Pending(Pending::Forced(ids)) if ids.is_empty())
    }
}

/// An error where no token can be chosen from a model's row, which says where it happened.
pub(super) fn check(row: &[f32], generated: usize) -> Result<()> {
    let broken = |l: &f32| l.is_nan() || *l == f32::INFINITY;
    let count = row.iter().filter(|l| broken(l)).count();
    let number = generated + 1;
    let what = match row.iter().position(broken) {
        Some(first) => {
            let (of, value) = (row.len(), row[first]);
            format!("{count} of {of} are NaN or infinite, the first is {value} of token {first}")
        }
        None if row.iter().all(|l| *l == f32::NEG_INFINITY) => "all are minus infinity".to_owned(),
        None => return Ok(()),
    };
    let message = format!("the model's logits for generated token {number} cannot be sampled from: {what}");
    Err(Error::new(Code::Backend, message).with("generated_token", number).with("not_finite", count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_token_to_choose_says_which_one_it_was() {
        let out = f32::NEG_INFINITY;
        assert_eq!(check(&[0.0, out], 0), Ok(()));
        let error = check(&[0.0, f32::NAN, f32::INFINITY], 4).unwrap_err();
        assert_eq!(error.code(), Code::Backend);
        assert!(error.message().contains("generated token 5"), "{error}");
        assert!(
            error.message().contains("2 of 3 are NaN or infinite, the first is NaN of token 1"),
            "{error}"
        );
        assert!(check(&[out, out], 0).unwrap_err().message().contains("minus infinity"));
    }
}

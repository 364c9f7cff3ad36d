//! Rows of logits that go to the host's own processor and come back.
//!
//! The processor runs inside of the host's `step`, on its thread. The MLX thread leaves the row in the session's queue,
//! goes on with other sessions, and samples when the row is back.

use super::options::LogitsProcessor;
use super::queue::Queue;
use super::run::{Phase, Run, SessionState};
use crate::error::{Code, Error, Result};
use crate::panics;

/// A row on its way.
pub(super) struct HostRow {
    /// Of prompt and answer so far.
    pub ids: Vec<u32>,
    /// `f32 [V]`
    pub logits: Vec<f32>,
}

impl HostRow {
    /// Lets the host's processor have it; what that leaves must be something to sample from.
    pub fn process(&mut self, processor: &LogitsProcessor) -> Result<()> {
        // The processor of a Rust host may panic, and the answer has to end all the same.
        panics::catch(|| processor.process(&self.ids, &mut self.logits))?;
        match self.logits.iter().position(|l| l.is_nan() || *l == f32::INFINITY) {
            None => Ok(()),
            Some(token) => Err(Error::invalid_argument(format!(
                "the logits processor left {} as the logit of token {token}: it must be a number or minus infinity",
                self.logits[token]
            ))
            .with("token", token)),
        }
    }
}

/// Leaves the row that the run is at for the host. Waits for MLX.
pub(super) fn show(run: &mut Run, queue: &Queue) -> Result<()> {
    let Phase::AtHost { logits } = &run.phase else { return Ok(()) };
    let row = logits.to_vec_cast::<f32>();
    let logits = row.map_err(|e| Error::new(Code::Backend, format!("the logits row: {e}")))?;
    check(&logits, run.generated)?;
    queue.show(HostRow { ids: std::mem::take(&mut run.ids), logits });
    Ok(())
}

/// An error where no token can be chosen from a model's row, which says where it happened.
pub(super) fn check(row: &[f32], generated: usize) -> Result<()> {
    let broken = |l: &f32| l.is_nan() || *l == f32::INFINITY;
    let count = row.iter().filter(|l| broken(l)).count();
    let generated = generated + 1;
    let what = match row.iter().position(|l| broken(l)) {
        Some(first) => {
            format!(
                "{count} of {} are NaN or infinite, the first is {} of token {first}",
                row.len(),
                row[first]
            )
        }
        None if row.iter().all(|l| *l == f32::NEG_INFINITY) => "all are minus infinity".to_owned(),
        None => return Ok(()),
    };
    let message =
        format!("the model's logits for generated token {generated} cannot be sampled from: {what}");
    Err(Error::new(Code::Backend, message).with("generated_token", generated).with("not_finite", count))
}

impl SessionState {
    /// Takes the row back from the host. A cancel may have ended the answer meanwhile: then it is of no use.
    pub fn take_back(&mut self, row: HostRow, outcome: Result<()>) {
        let Some(run) = self.run.take() else { return };
        match (run.phase, outcome) {
            (Phase::AtHost { logits }, Ok(())) => {
                let HostRow { ids, logits: processed } = row;
                self.run = Some(Run { phase: Phase::Processed { logits, processed }, ids, ..run });
            }
            // What has been evaluated is as sound as before.
            (Phase::AtHost { .. }, Err(error)) => self.finish(super::event::Event::failed(error)),
            (phase, _) => self.run = Some(Run { phase, ..run }),
        }
    }
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

    #[test]
    fn what_a_processor_may_not_leave_is_named() {
        let mut row = HostRow { ids: vec![], logits: vec![0.0; 4] };
        let infinite = LogitsProcessor::new(|_, row| {
            row[2] = f32::INFINITY;
            Ok(())
        });
        let error = row.process(&infinite).unwrap_err();
        assert_eq!((error.code(), &error.details()["token"]), (Code::InvalidArgument, &2.into()));
        let forbids = LogitsProcessor::new(|_, row| {
            row[2] = f32::NEG_INFINITY;
            Ok(())
        });
        assert_eq!(row.process(&forbids), Ok(()));
        let panics = LogitsProcessor::new(|_, _| panic!("on purpose"));
        assert_eq!(row.process(&panics).unwrap_err().code(), Code::Panic);
    }
}

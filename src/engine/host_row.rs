//! Rows of logits that go to the host's own processor and come back.
//!
//! The processor runs inside of the host's `step`, on its thread. The MLX thread leaves the row in the session's queue,
//! goes on with other sessions, and samples when the row is back.

use super::options::LogitsProcessor;
use super::pending;
use super::queue::Queue;
use super::run::{Phase, Run, SessionState};
use crate::error::{Error, Result};
use crate::nn::mlx;
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

/// Leaves the row that the run is at, after the `held` ids, for the host. Waits for MLX.
pub(super) fn show(run: &Run, held: &[u32], queue: &Queue) -> Result<()> {
    let Phase::AtHost { row } = &run.phase else { return Ok(()) };
    let logits = mlx::floats(&row.logits).map_err(|e| e.context("the logits row"))?;
    pending::check(&logits, run.generated)?;
    queue.show(HostRow { ids: held.to_vec(), logits });
    Ok(())
}

impl SessionState {
    /// Takes the row back from the host, without work for MLX: there may be none to be done now. A cancel may have ended
    /// the answer meanwhile: then it is of no use.
    pub fn take_back(&mut self, row: HostRow, outcome: Result<()>) {
        let Some(run) = self.run.take() else { return };
        self.run = Some(match run.phase {
            Phase::AtHost { row: before } => {
                let phase = Phase::Processed { row: before, processed: outcome.map(|()| row.logits) };
                Run { phase, ..run }
            }
            phase => Run { phase, ..run },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

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

//! The first unit of a run: media become soft tokens, one at a time.

use std::sync::Arc;
use std::time::Instant;

use super::run::{Phase, Run, SessionState, millis};
use crate::error::{Code, Error, Result};
use crate::media::go_on;
use crate::models::SoftTokens;
use crate::nn::mlx::eval;
use crate::system::room;

impl SessionState {
    /// Encodes the next medium that is neither held nor kept from another prompt; after the last one the prompt is cut
    /// into chunks.
    pub(super) fn encode(&mut self, run: &mut Run) -> Result<()> {
        let Phase::Encode { next } = run.phase else {
            return Err(Error::new(Code::Backend, "the run is past its media"));
        };
        let began = Instant::now();
        let media = run.job.prompt.media.len();
        let Some(index) = (next..media).find(|&i| run.job.prompt.media[i].tokens.end > run.reused) else {
            run.phase = self.chunks(run);
            return Ok(());
        };
        let soft = self.soft_tokens(run, index)?;
        let (rows, places) = (soft.features.dim(0) as usize, run.job.prompt.media[index].tokens.len());
        if rows != places {
            let message =
                format!("medium {index} was encoded to {rows} soft tokens, its place holds {places}");
            return Err(Error::new(Code::Backend, message));
        }
        run.soft[index] = Some(soft);
        run.encoded_ms += millis(began);
        run.phase = Phase::Encode { next: index + 1 };
        Ok(())
    }

    /// What a medium is encoded to; counts it if that is not known already.
    fn soft_tokens(&self, run: &mut Run, index: usize) -> Result<SoftTokens> {
        let media = &run.job.prompt.media[index].media;
        if let Some(kept) = self.loaded.encoded.borrow_mut().get(media.hash()) {
            return Ok(kept);
        }
        let prepared = match run.job.prepared[index].take() {
            Some(prepared) => prepared,
            // It was at hand when the host submitted, and has been given up since.
            None => Arc::new(self.loaded.architecture.media().prepare(media, &go_on)?),
        };
        room::require(self.loaded.budget.encode(&prepared), "the encoding of a medium")?;
        let soft = self.loaded.model.encode(&prepared)?;
        eval(soft.arrays())?;
        run.encoded += 1;
        self.loaded.encoded.borrow_mut().insert(*media.hash(), &soft);
        Ok(soft)
    }
}

//! What a session holds, taken from the MLX thread.

use std::ops::Range;

use crate::engine::run::SessionState;
use crate::error::{Code, Error, Result};
use crate::media::ContentHash;
use crate::nn::kept::{KeptState, Reading};
use crate::nn::state::Shape;
use crate::nn::{Device, has_cuda};

/// Everything that is written.
pub struct Contents {
    pub shapes: Vec<Shape>,
    /// Position that comes next.
    pub next: i32,
    /// The session's own state, then its checkpoints.
    pub states: Vec<KeptState>,
    pub ids: Vec<u32>,
    pub media: Vec<(Range<usize>, ContentHash)>,
}

impl SessionState {
    /// `None` where it cannot be read in this way.
    pub fn contents(&self, reading: Reading) -> Result<Option<Contents>> {
        self.loaded.on_its_device(|| self.read_contents(reading))
    }

    fn read_contents(&self, reading: Reading) -> Result<Option<Contents>> {
        let (state, held) = (&self.past.state, &self.past.held);
        if self.run.is_some() || held.len() != state.len() {
            return Err(Error::new(Code::Backend, "the session is in the middle of something"));
        }
        if reading == Reading::InPlace && has_cuda() && self.loaded.device == Device::Gpu && held.len() > 0 {
            return Ok(None);
        }
        let Some(own) = KeptState::of(state, reading)? else { return Ok(None) };
        let mut states = vec![own];
        for checkpoint in self.past.checkpoints().filter(|checkpoint| checkpoint.len() > 0) {
            match KeptState::of_checkpoint(checkpoint, reading)? {
                Some(kept) => states.push(kept),
                None => return Ok(None),
            }
        }
        Ok(Some(Contents {
            shapes: state.shapes().collect(),
            // Where rows were taken back and none has come since, it is not known, and the next prompt has its own.
            next: if state.len() > 0 { state.position().max(0) } else { 0 },
            states,
            ids: held.ids().to_vec(),
            media: held.media().to_vec(),
        }))
    }
}

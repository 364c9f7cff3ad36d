//! What rank 0 tells the others: what to do to their states, and the pass that comes next.

use std::ops::Range;

use mlx_rs::{Array, Dtype};
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::models::{Batch, Run, SoftTokens};
use crate::nn::group::Group;
use crate::nn::mirror::Op;
use crate::nn::positions::Positions;

/// One message. What is large or not computed yet follows it as arrays, in order: ids of each run, and its soft tokens.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Message<P = Pass> {
    pub ops: Vec<Op>,
    pub then: Then<P>,
}

/// Whoever tells of a pass lends it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Then<P = Pass> {
    /// Nothing else for now.
    Rest,
    Pass(P),
    /// The model is let go of.
    End,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    pub runs: Vec<RunPlan>,
    pub logits: bool,
}

/// A run but for its arrays.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    pub state: u64,
    pub rows: usize,
    pub positions: PositionPlan,
    pub soft: Vec<SoftPlan>,
    pub blocks: Vec<Range<usize>>,
    pub outputs: usize,
}

/// Of soft tokens: their rows, their shapes, and their type.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftPlan {
    rows: Range<usize>,
    shapes: Vec<Vec<i32>>,
    dtype: Float,
}

/// The types of soft tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Float {
    F32,
    F16,
    Bf16,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum PositionPlan {
    From(i32),
    Each(Vec<[i32; 3]>),
}

impl<P: Serialize> Message<P> {
    pub fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::new(Code::Backend, error.to_string()))
    }
}

impl Message {
    pub fn of(bytes: &[u8]) -> Result<Message> {
        let wrong = |error| Error::new(Code::Backend, format!("rank 0 says what is not understood: {error}"));
        serde_json::from_slice(bytes).map_err(wrong)
    }
}

impl Pass {
    /// Of a batch over the states with these numbers.
    pub fn of(batch: &Batch, states: &[u64]) -> Result<Pass> {
        let runs = batch.runs.iter().zip(states).map(|(run, state)| RunPlan::of(run, *state));
        Ok(Pass { runs: runs.collect::<Result<_>>()?, logits: batch.logits })
    }

    pub fn states(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.state).collect()
    }

    /// The same batch on all ranks, of what rank 0 has.
    pub fn share(&self, group: &Group, own: Option<&Batch>) -> Result<Batch> {
        let run = |(index, plan): (usize, &RunPlan)| plan.share(group, own.map(|batch| &batch.runs[index]));
        let runs = self.runs.iter().enumerate().map(run).collect::<Result<_>>()?;
        Ok(Batch { runs, logits: self.logits })
    }
}

impl RunPlan {
    fn of(run: &Run, state: u64) -> Result<RunPlan> {
        let soft = run.soft.iter().map(|(rows, tokens)| {
            let shapes = tokens.arrays().map(|array| array.shape().to_vec()).collect();
            Ok(SoftPlan { rows: rows.clone(), shapes, dtype: Float::of(tokens.features.dtype())? })
        });
        Ok(RunPlan {
            state,
            rows: run.count(),
            positions: match &run.positions {
                Positions::Consecutive { start, .. } => PositionPlan::From(*start),
                Positions::Each(rows) => PositionPlan::Each(rows.clone()),
            },
            soft: soft.collect::<Result<_>>()?,
            blocks: run.blocks.clone(),
            outputs: run.outputs,
        })
    }

    fn share(&self, group: &Group, own: Option<&Run>) -> Result<Run> {
        let ids = own.map(|run| run.ids.reshape(&[-1])).transpose()?;
        let ids = group.share(ids.as_ref(), &[self.rows as i32], Dtype::Int32)?;
        let soft = self.soft.iter().enumerate().map(|(index, plan)| {
            let tokens = own.and_then(|run| Some(&run.soft.get(index)?.1));
            Ok((plan.rows.clone(), plan.share(group, tokens)?))
        });
        Ok(Run {
            ids,
            positions: match &self.positions {
                PositionPlan::From(start) => Positions::Consecutive { start: *start, count: self.rows },
                PositionPlan::Each(rows) => Positions::Each(rows.clone()),
            },
            soft: soft.collect::<Result<_>>()?,
            blocks: self.blocks.clone(),
            outputs: self.outputs,
        })
    }
}

impl SoftPlan {
    fn share(&self, group: &Group, own: Option<&SoftTokens>) -> Result<SoftTokens> {
        let own: Vec<Option<&Array>> = match own {
            Some(tokens) => tokens.arrays().map(Some).collect(),
            None => vec![None; self.shapes.len()],
        };
        let shared =
            own.iter().zip(&self.shapes).map(|(own, shape)| group.share(*own, shape, self.dtype.of_mlx()));
        let mut shared = shared.collect::<Result<Vec<_>>>()?.into_iter();
        let features =
            shared.next().ok_or_else(|| Error::new(Code::Backend, "soft tokens have no features"))?;
        Ok(SoftTokens { features, extra: shared.collect() })
    }
}

impl Float {
    fn of(dtype: Dtype) -> Result<Float> {
        match dtype {
            Dtype::Float32 => Ok(Float::F32),
            Dtype::Float16 => Ok(Float::F16),
            Dtype::Bfloat16 => Ok(Float::Bf16),
            other => Err(Error::new(Code::Backend, format!("soft tokens are {other:?}"))),
        }
    }

    fn of_mlx(self) -> Dtype {
        match self {
            Float::F32 => Dtype::Float32,
            Float::F16 => Dtype::Float16,
            Float::Bf16 => Dtype::Bfloat16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_one_session_fits_the_first_part_of_a_message() {
        let ids = Array::from_slice(&[7u32], &[1]);
        let run = Run::text(ids, Positions::Consecutive { start: 123_456, count: 1 });
        let pass = Pass::of(&Batch::of(run), &[12_345]).unwrap();
        let bytes = Message { ops: Vec::new(), then: Then::Pass(pass) }.bytes().unwrap();
        assert!(bytes.len() < 252, "{}", bytes.len());
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let ids = Array::from_slice(&[7u32, 8, 9], &[3]);
        let features = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2]);
        let soft = vec![(1..3, SoftTokens { features: features.clone(), extra: vec![features] })];
        let positions = Positions::Each(vec![[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
        let run = Run { ids, positions, soft, blocks: vec![Range { start: 1, end: 3 }], outputs: 2 };
        let pass = Pass::of(&Batch { runs: vec![run], logits: false }, &[3]).unwrap();
        let ops = vec![Op::New(3), Op::Trim { state: 3, rows: 9 }];
        let message = Message { ops, then: Then::Pass(pass) };
        assert_eq!(Message::of(&message.bytes().unwrap()).unwrap(), message);
        assert!(Message::of(b"{}").is_err());
    }
}

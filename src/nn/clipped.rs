//! Linear layers whose inputs and outputs are kept within ranges that the snapshot gives, as Gemma 4's towers have
//! them (`Gemma4ClippableLinear` of transformers).

use mlx_rs::Array;
use mlx_rs::ops::{maximum, minimum};

use super::linear::Linear;
use super::loader::Loader;
use crate::error::Result;

/// `clamp(clamp(x) · Wᵀ)`.
pub struct ClippedLinear {
    linear: Linear,
    ranges: Option<Ranges>,
}

/// Scalars: smallest and largest value.
struct Ranges {
    input: [Array; 2],
    output: [Array; 2],
}

impl ClippedLinear {
    /// The layer `path.linear` and, where `clipped`, the ranges beside it.
    pub fn load(
        loader: &mut Loader,
        path: &str,
        out: usize,
        input: usize,
        clipped: bool,
    ) -> Result<ClippedLinear> {
        let linear = loader.linear(path, &[("linear", out)], input)?;
        let mut scalar = |name: &str| loader.float(&format!("{path}.{name}"), &[]);
        let ranges = match clipped {
            false => None,
            true => Some(Ranges {
                input: [scalar("input_min")?, scalar("input_max")?],
                output: [scalar("output_min")?, scalar("output_max")?],
            }),
        };
        Ok(ClippedLinear { linear, ranges })
    }

    /// `[T, in]` → `[T, out]`.
    pub fn forward(&self, x: &Array) -> Result<Array> {
        match &self.ranges {
            None => self.linear.forward(x),
            Some(ranges) => clamp(&self.linear.forward(&clamp(x, &ranges.input)?)?, &ranges.output),
        }
    }
}

fn clamp(x: &Array, [least, most]: &[Array; 2]) -> Result<Array> {
    Ok(minimum(maximum(x, least)?, most)?)
}

//! A Conformer layer: half a feed-forward module, local attention with relative positions, a light convolution, and
//! the other half (`Gemma4AudioLayer` of transformers).
//!
//! Attention is `f32` whatever the activations are, as in the reference. It goes by blocks of as many frames as a
//! frame sees: the keys of a block are its own frames and those of the block before. The reference also clamps
//! activations to ±1e10 around its norms, which is left out: nothing finite comes near it.

use mlx_rs::ops::{concatenate, logaddexp, pad, sigmoid, softmax_axis, tanh};
use mlx_rs::{Array, Dtype};

use super::audio::AudioConfig;
use crate::error::Result;
use crate::nn::activation::silu;
use crate::nn::clipped::ClippedLinear;
use crate::nn::loader::Loader;
use crate::nn::mlx::{self, halves};
use crate::nn::norm::{RmsNorm, cast};

/// Of the norms that take no epsilon from the configuration.
const NORM_EPS: f32 = 1e-6;
/// What is added to the score of a key out of sight.
const HIDDEN: f32 = -1e9;

pub struct Conformer {
    first: FeedForward,
    pre_attention_norm: RmsNorm,
    attention: Attention,
    post_attention_norm: RmsNorm,
    convolution: LightConvolution,
    second: FeedForward,
    output_norm: RmsNorm,
}

struct FeedForward {
    norm: RmsNorm,
    up: ClippedLinear,
    down: ClippedLinear,
    post_norm: RmsNorm,
    residual_weight: Array,
}

struct Attention {
    query: ClippedLinear,
    key: ClippedLinear,
    value: ClippedLinear,
    output: ClippedLinear,
    /// `f32` `[D]` and `[]`.
    query_scale: Array,
    key_scale: Array,
    /// `f32` `[heads, D, reach + 1]`: the key of each distance, the largest first.
    relative_keys: Array,
}

struct LightConvolution {
    norm: RmsNorm,
    start: ClippedLinear,
    /// `[kernel, H]`, the oldest frame first: views of the weight.
    taps: Vec<Array>,
    taps_norm: RmsNorm,
    end: ClippedLinear,
}

/// What all layers share: the encodings of distances, and which keys of its blocks a frame sees.
pub struct Distances {
    /// `[reach + 1, H]`: sines and cosines of the distances `reach ..= 0`.
    encodings: Array,
    reach: usize,
}

impl Distances {
    pub fn new(config: &AudioConfig, dtype: Dtype) -> Result<Distances> {
        let half = config.hidden_size / 2;
        let increment = 10_000f32.ln() / (half.max(2) - 1) as f32;
        let timescale = |i: usize| (i as f32 * -increment).exp();
        let mut values = Vec::with_capacity((config.reach + 1) * config.hidden_size);
        for distance in (0..=config.reach).rev() {
            values.extend((0..half).map(|i| (distance as f32 * timescale(i)).sin()));
            values.extend((0..half).map(|i| (distance as f32 * timescale(i)).cos()));
        }
        let shape = [config.reach as i32 + 1, config.hidden_size as i32];
        Ok(Distances { encodings: cast(&Array::from_slice(&values, &shape), dtype)?, reach: config.reach })
    }

    /// `[blocks, reach, 2 · reach]` to add to the scores of `count` frames: frame `i` sees keys `i - reach + 1 ..= i`.
    pub fn mask(&self, count: i32) -> Result<Array> {
        let (reach, blocks) = (self.reach, (count as usize).div_ceil(self.reach));
        let mut values = Vec::with_capacity(blocks * reach * 2 * reach);
        for block in 0..blocks {
            for row in 0..reach {
                // Column `c` is the frame `c - reach` of this block.
                let seen =
                    |column: usize| column > row && column <= row + reach && (block > 0 || column >= reach);
                values.extend((0..2 * reach).map(|c| if seen(c) { 0.0 } else { HIDDEN }));
            }
        }
        let shape = [blocks as i32, reach as i32, 2 * reach as i32];
        Ok(Array::from_slice(&values, &shape))
    }
}

impl Conformer {
    pub fn load(
        loader: &mut Loader,
        config: &AudioConfig,
        distances: &Distances,
        path: &str,
    ) -> Result<Conformer> {
        let mut norm = |name: &str| loader.rms_norm(&format!("{path}.{name}"), config.hidden_size, NORM_EPS);
        Ok(Conformer {
            pre_attention_norm: norm("norm_pre_attn")?,
            post_attention_norm: norm("norm_post_attn")?,
            output_norm: norm("norm_out")?,
            first: FeedForward::load(loader, config, &format!("{path}.feed_forward1"))?,
            second: FeedForward::load(loader, config, &format!("{path}.feed_forward2"))?,
            attention: Attention::load(loader, config, distances, &format!("{path}.self_attn"))?,
            convolution: LightConvolution::load(loader, config, &format!("{path}.lconv1d"))?,
        })
    }

    /// `[T, H]` → `[T, H]`; `mask` is [`Distances::mask`]'s.
    pub fn forward(&self, x: &Array, config: &AudioConfig, mask: &Array) -> Result<Array> {
        let x = self.first.forward(x)?;
        let seen = self.attention.forward(&self.pre_attention_norm.forward(&x)?, config, mask)?;
        let x = x.add(self.post_attention_norm.forward(&seen)?)?;
        let x = self.convolution.forward(&x)?;
        self.output_norm.forward(&self.second.forward(&x)?)
    }
}

impl FeedForward {
    fn load(loader: &mut Loader, c: &AudioConfig, path: &str) -> Result<FeedForward> {
        let (dim, inner) = (c.hidden_size, 4 * c.hidden_size);
        Ok(FeedForward {
            norm: loader.rms_norm(&format!("{path}.pre_layer_norm"), dim, NORM_EPS)?,
            up: ClippedLinear::load(loader, &format!("{path}.ffw_layer_1"), inner, dim, c.clipped)?,
            down: ClippedLinear::load(loader, &format!("{path}.ffw_layer_2"), dim, inner, c.clipped)?,
            post_norm: loader.rms_norm(&format!("{path}.post_layer_norm"), dim, NORM_EPS)?,
            residual_weight: cast(&Array::from_f32(c.residual_weight), loader.dtype)?,
        })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        let inner = silu(&self.up.forward(&self.norm.forward(x)?)?)?;
        let out = self.post_norm.forward(&self.down.forward(&inner)?)?;
        Ok(out.multiply(&self.residual_weight)?.add(x)?)
    }
}

impl Attention {
    fn load(loader: &mut Loader, c: &AudioConfig, distances: &Distances, path: &str) -> Result<Attention> {
        let (dim, heads, head_dim) = (c.hidden_size, c.heads as i32, c.head_dim() as i32);
        let mut linear =
            |name: &str| ClippedLinear::load(loader, &format!("{path}.{name}"), dim, dim, c.clipped);
        let (query, key, value, output) =
            (linear("q_proj")?, linear("k_proj")?, linear("v_proj")?, linear("post")?);
        let relative = loader.matrix(&format!("{path}.relative_k_proj"), dim, dim)?;
        let relative = relative.multiply(&distances.encodings)?.reshape(&[-1, heads, head_dim])?;
        let relative_keys = cast(&relative, Dtype::Float32)?.transpose_axes(&[1, 2, 0])?;
        let per_dim = loader.part(&format!("{path}.per_dim_scale"), &[c.head_dim()], loader.dtype)?;
        // softplus(x) = ln(1 + e^x)
        let softplus = logaddexp(&per_dim, Array::from_f32(0.0).as_dtype(per_dim.dtype())?)?;
        let scale = (head_dim as f32).powf(-0.5) / std::f32::consts::LN_2;
        let query_scale = cast(&softplus, Dtype::Float32)?.multiply(Array::from_f32(scale))?;
        let key_scale = (1.0 + std::f32::consts::E).ln() / std::f32::consts::LN_2;
        Ok(Attention {
            query,
            key,
            value,
            output,
            query_scale: loader.keep(query_scale),
            key_scale: loader.keep(Array::from_f32(key_scale)),
            relative_keys: loader.keep(relative_keys),
        })
    }

    fn forward(&self, x: &Array, c: &AudioConfig, mask: &Array) -> Result<Array> {
        let (count, heads, dim) = (x.dim(0), c.heads as i32, c.head_dim() as i32);
        let (blocks, reach) = (mask.dim(0), mask.dim(1));
        let missing = blocks * reach - count;
        // [heads, frames, D], with zeros before and behind.
        let padded = |layer: &ClippedLinear, before: i32, scale: Option<&Array>| -> Result<Array> {
            let x = cast(&layer.forward(x)?, Dtype::Float32)?.reshape(&[count, heads, dim])?;
            let x = scale.map_or(Ok(x.clone()), |scale| x.multiply(scale))?;
            let widths = [(before, missing), (0, 0), (0, 0)];
            Ok(pad(x, &widths, None, None)?.swap_axes(0, 1)?)
        };
        let q = padded(&self.query, 0, Some(&self.query_scale))?.reshape(&[heads, blocks, reach, dim])?;
        let k = with_previous(&padded(&self.key, reach, Some(&self.key_scale))?, reach)?;
        let v = with_previous(&padded(&self.value, reach, None)?, reach)?;
        let relative = self.relative_keys.reshape(&[heads, 1, dim, reach + 1])?;
        let scores = q.matmul(k.swap_axes(-1, -2)?)?.add(by_key(&q.matmul(relative)?)?)?;
        let cap = Array::from_f32(c.logit_cap);
        let scores = tanh(scores.divide(&cap)?)?.multiply(&cap)?.add(mask)?;
        let seen = softmax_axis(scores, -1, true)?.matmul(v)?;
        let seen = seen.reshape(&[heads, blocks * reach, dim])?.swap_axes(0, 1)?;
        let seen = mlx::slice(&seen, &[0; 3], &[count, heads, dim])?.reshape(&[count, heads * dim])?;
        self.output.forward(&cast(&seen, x.dtype())?)
    }
}

/// `[heads, (blocks + 1) · reach, D]` → `[heads, blocks, 2 · reach, D]`: each block after the one before it.
fn with_previous(x: &Array, reach: i32) -> Result<Array> {
    let (heads, blocks, dim) = (x.dim(0), x.dim(1) / reach - 1, x.dim(2));
    let x = x.reshape(&[heads, blocks + 1, reach, dim])?;
    let previous = mlx::slice(&x, &[0; 4], &[heads, blocks, reach, dim])?;
    let own = mlx::slice(&x, &[0, 1, 0, 0], &[heads, blocks + 1, reach, dim])?;
    Ok(concatenate(&[previous, own], 2)?)
}

/// `[heads, blocks, reach, reach + 1]` by distance → `[heads, blocks, reach, 2 · reach]` by key: row `r` moves `r` to
/// the right, which appending zeros and cutting the rows anew does.
fn by_key(x: &Array) -> Result<Array> {
    let (heads, blocks, reach) = (x.dim(0), x.dim(1), x.dim(2));
    let wide = pad(x, &[(0, 0), (0, 0), (0, 0), (0, reach)], None, None)?;
    let flat = wide.reshape(&[heads, blocks, reach * (2 * reach + 1)])?;
    let cut = mlx::slice(&flat, &[0; 3], &[heads, blocks, reach * 2 * reach])?;
    Ok(cut.reshape(&[heads, blocks, reach, 2 * reach])?)
}

impl LightConvolution {
    fn load(loader: &mut Loader, c: &AudioConfig, path: &str) -> Result<LightConvolution> {
        let dim = c.hidden_size;
        let weight = loader.convolution(&format!("{path}.depthwise_conv1d.weight"), dim, &[c.kernel], 1)?;
        let tap = |i: i32| -> Result<Array> {
            let tap = mlx::slice(&weight, &[0, i, 0], &[dim as i32, i + 1, 1])?;
            Ok(tap.reshape(&[dim as i32])?)
        };
        Ok(LightConvolution {
            taps: (0..c.kernel as i32).map(tap).collect::<Result<_>>()?,
            norm: loader.rms_norm(&format!("{path}.pre_layer_norm"), dim, c.rms_norm_eps)?,
            taps_norm: loader.rms_norm(&format!("{path}.conv_norm"), dim, c.rms_norm_eps)?,
            start: ClippedLinear::load(loader, &format!("{path}.linear_start"), 2 * dim, dim, c.clipped)?,
            end: ClippedLinear::load(loader, &format!("{path}.linear_end"), dim, dim, c.clipped)?,
        })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        let [value, gate] = halves(&self.start.forward(&self.norm.forward(x)?)?)?;
        let gated = value.multiply(sigmoid(gate)?)?;
        let mixed = silu(&self.taps_norm.forward(&self.convolve(&gated)?)?)?;
        Ok(self.end.forward(&mixed)?.add(x)?)
    }

    /// Each channel by itself, over the frame and those before it.
    fn convolve(&self, x: &Array) -> Result<Array> {
        let (count, dim) = (x.dim(0), x.dim(1));
        let padded = pad(x, &[(self.taps.len() as i32 - 1, 0), (0, 0)], None, None)?;
        let mut sum: Option<Array> = None;
        for (i, tap) in self.taps.iter().enumerate() {
            let part = mlx::slice(&padded, &[i as i32, 0], &[i as i32 + count, dim])?.multiply(tap)?;
            sum = Some(sum.map_or(Ok(part.clone()), |sum| sum.add(part))?);
        }
        Ok(sum.unwrap_or(padded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{close, host, random};

    #[test]
    fn a_frame_sees_itself_and_those_just_before_it() {
        let (reach, count) = (4usize, 10usize);
        let distances = Distances { encodings: Array::from_f32(0.0), reach };
        let mask = distances.mask(count as i32).unwrap();
        assert_eq!(mask.shape(), [3, 4, 8]);
        let mask = host(&mask);
        for frame in 0..count {
            let (block, row) = (frame / reach, frame % reach);
            for column in 0..2 * reach {
                let key = (block * reach + column) as i64 - reach as i64;
                let seen = key >= 0 && key <= frame as i64 && key > frame as i64 - reach as i64;
                let added = mask[(block * reach + row) * 2 * reach + column];
                assert_eq!(added, if seen { 0.0 } else { HIDDEN }, "frame {frame}, key {key}");
            }
        }
    }

    #[test]
    fn scores_by_distance_move_to_their_keys() {
        let (reach, blocks) = (3usize, 2usize);
        let by_distance = random(&[1, blocks as i32, reach as i32, reach as i32 + 1], 5);
        let (from, to) = (host(&by_distance), host(&by_key(&by_distance).unwrap()));
        for row in 0..blocks * reach {
            for place in 0..=reach {
                // The first place is the largest distance, which is the column of the row's own number.
                let column = row % reach + place;
                let found = to[row * 2 * reach + column];
                close(&[found], &[from[row * (reach + 1) + place]], 0.0);
            }
        }
    }
}

//! Layers of the vision towers that are plain pre-norm transformers (SigLIP, Qwen3-VL).

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use crate::error::Result;
use crate::nn::activation::GeluGlu;
use crate::nn::encoder_attention::attend_to_all;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::norm::LayerNorm;
use crate::nn::{Device, mlx};

/// Sizes of a tower's layers.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub heads: usize,
    pub layer_norm_eps: f32,
}

/// What a family calls a layer's modules.
pub struct Names {
    pub norms: [&'static str; 2],
    /// One module of queries, keys and values, or one for each.
    pub qkv: &'static [&'static str],
    pub output: &'static str,
    pub mlp: [&'static str; 2],
}

/// `x + attention(norm(x))`, then `x + fc2(gelu_tanh(fc1(norm(x))))`; all modules have biases.
pub struct EncoderLayer {
    norms: [LayerNorm; 2],
    qkv: Vec<Linear>,
    output: Linear,
    mlp: [Linear; 2],
    activation: GeluGlu,
    heads: i32,
    scale: Array,
    device: Device,
}

impl EncoderLayer {
    pub fn load(loader: &mut Loader, path: &str, sizes: &Sizes, names: &Names) -> Result<EncoderLayer> {
        let (dim, inner, eps) = (sizes.hidden_size, sizes.intermediate_size, sizes.layer_norm_eps);
        let mut linear = |name: &str, out: usize, input: usize| {
            loader.linear_with_bias(&format!("{path}.{name}"), out, input)
        };
        let width = 3 * dim / names.qkv.len();
        let qkv = names.qkv.iter().map(|name| linear(name, width, dim)).collect::<Result<_>>()?;
        let output = linear(names.output, dim, dim)?;
        let mlp = [linear(names.mlp[0], inner, dim)?, linear(names.mlp[1], dim, inner)?];
        let mut norm = |name: &str| loader.layer_norm(&format!("{path}.{name}"), dim, eps);
        let scale = ((dim / sizes.heads) as f32).powf(-0.5);
        Ok(EncoderLayer {
            norms: [norm(names.norms[0])?, norm(names.norms[1])?],
            qkv,
            output,
            mlp,
            activation: GeluGlu::new(loader.dtype)?,
            heads: sizes.heads as i32,
            scale: Array::from_f32(scale).as_dtype(loader.dtype)?,
            device: loader.device,
        })
    }

    /// `[N, H]` → `[N, H]`. `turn` is applied to queries and keys, `[heads, N, D]`.
    pub fn forward(&self, x: &Array, turn: impl Fn(Array) -> Result<Array>) -> Result<Array> {
        let (count, width, heads) = (x.dim(0), x.dim(1), self.heads);
        let normed = self.norms[0].forward(x)?;
        let qkv = self.qkv.iter().map(|part| part.forward(&normed)).collect::<Result<Vec<_>>>()?;
        let qkv = if let [all] = &qkv[..] { all.clone() } else { concatenate(&qkv, -1)? };
        let part = |index: i32| -> Result<Array> {
            let part = mlx::slice(&qkv, &[0, index * width], &[count, (index + 1) * width])?;
            Ok(part.reshape(&[count, heads, width / heads])?.swap_axes(0, 1)?)
        };
        let batched = |x: Array| x.reshape(&[1, heads, count, width / heads]);
        let q = batched(turn(part(0)?)?.multiply(&self.scale)?)?;
        let (k, v) = (batched(turn(part(1)?)?)?, batched(part(2)?)?);
        let seen = attend_to_all(&q, &k, &v, self.device)?.swap_axes(1, 2)?.reshape(&[count, width])?;
        let x = x.add(self.output.forward(&seen)?)?;
        let inner = self.activation.plain(&self.mlp[0].forward(&self.norms[1].forward(&x)?)?)?;
        Ok(x.add(self.mlp[1].forward(&inner)?)?)
    }
}

//! The language model of Gemma 4 (`Gemma4UnifiedTextModel` of transformers).

use std::ops::Range;

use mlx_rs::ops::{concatenate, tanh};
use mlx_rs::{Array, Dtype};

use super::config::{HeadConfig, LayerType, RopeConfig, TextConfig};
use crate::error::Result;
use crate::models::{Chunk, SoftTokens};
use crate::nn::activation::GeluGlu;
use crate::nn::attention::{Mask, MaskShape, attend};
use crate::nn::cache::{Cache, LayerCache};
use crate::nn::linear::{Embedding, Linear};
use crate::nn::loader::Loader;
use crate::nn::norm::{RmsNorm, cast};
use crate::nn::rope::{Angles, Rope};
use crate::nn::{Device, mlx};

pub struct TextModel {
    config: TextConfig,
    device: Device,
    dtype: Dtype,
    embed_tokens: Embedding,
    /// `√H` in the activations' dtype.
    embed_scale: Array,
    layers: Vec<Layer>,
    norm: RmsNorm,
    sliding_rope: Rope,
    full_rope: Rope,
    glu: GeluGlu,
    /// `c` and `1 / c` of the softcap.
    softcap: Option<(Array, Array)>,
}

struct Layer {
    kind: LayerType,
    input_layernorm: RmsNorm,
    attention: Attention,
    post_attention_layernorm: RmsNorm,
    pre_feedforward_layernorm: RmsNorm,
    /// Gate and up.
    gate_up: Linear,
    down: Linear,
    post_feedforward_layernorm: RmsNorm,
    layer_scalar: Array,
}

struct Attention {
    heads: HeadConfig,
    query_heads: i32,
    /// Queries, keys, and values where they are projected.
    qkv: Linear,
    /// Without weight: of every head.
    head_norm: RmsNorm,
    /// `[query_heads + kv_heads, D]`: the weights of `q_norm` and `k_norm`, a row for each head.
    qk_weight: Array,
    output: Linear,
}

/// What all layers of one kind share in one forward pass.
struct Shared<'a> {
    rope: &'a Rope,
    angles: Angles,
    mask: Mask,
    device: Device,
}

impl TextModel {
    /// Reads the weights, a layer at a time; `progress` gets the part of layers that is done.
    pub fn load(
        loader: &mut Loader,
        config: &TextConfig,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<TextModel> {
        let (hidden, device, dtype) = (config.hidden_size, loader.device, loader.dtype);
        let embed_tokens =
            loader.embedding("language_model.model.embed_tokens", config.vocab_size, hidden)?;
        loader.read(embed_tokens.table.arrays())?;
        let steps = config.layer_types.len() as f32 + 1.0;
        let mut layers = Vec::new();
        for (index, kind) in config.layer_types.iter().enumerate() {
            progress((index as f32 + 1.0) / steps)?;
            layers.push(Layer::load(loader, config, index, *kind)?);
        }
        let norm = loader.rms_norm("language_model.model.norm", hidden, config.rms_norm_eps)?;
        loader.read(norm.weight())?;
        let softcap = config.softcap.map(|c| (Array::from_f32(c), Array::from_f32(1.0 / c)));
        Ok(TextModel {
            embed_scale: Array::from_f32((hidden as f32).sqrt()).as_dtype(dtype)?,
            sliding_rope: rope(&config.sliding, device),
            full_rope: rope(&config.full, device),
            glu: GeluGlu::new(dtype)?,
            config: config.clone(),
            device,
            dtype,
            embed_tokens,
            layers,
            norm,
            softcap,
        })
    }

    pub fn new_cache(&self) -> Cache {
        Cache::new(self.config.layer_types.iter().map(|kind| self.config.window(*kind)))
    }

    /// Logits of the chunk's last row: `f32` `[vocab]`.
    pub fn forward(&self, chunk: &Chunk, cache: &mut Cache) -> Result<Array> {
        let count = chunk.count();
        let mut hidden = self.embed(chunk)?;
        let sliding = self.shared(LayerType::Sliding, chunk, cache.offset())?;
        let full = self.shared(LayerType::Full, chunk, cache.offset())?;
        for (index, layer) in self.layers.iter().enumerate() {
            let shared = if layer.kind == LayerType::Sliding { &sliding } else { &full };
            let is_last = index + 1 == self.layers.len();
            hidden = layer.forward(&hidden, shared, cache.layer(index), &self.glu, is_last)?;
        }
        cache.advance(count);
        self.logits(&hidden)
    }

    /// `[T, H]`: scaled embeddings, with the soft tokens, which are not scaled, in their places.
    fn embed(&self, chunk: &Chunk) -> Result<Array> {
        let ids = chunk.ids.reshape(&[-1])?;
        let embedded = self.embed_tokens.forward(&ids)?.multiply(&self.embed_scale)?;
        if chunk.soft.is_empty() {
            return Ok(embedded);
        }
        self.insert(&embedded, chunk.soft)
    }

    fn insert(&self, embedded: &Array, soft: &[(Range<usize>, SoftTokens)]) -> Result<Array> {
        let hidden = embedded.dim(1);
        let rows = |from: usize, to: usize| mlx::slice(embedded, &[from as i32, 0], &[to as i32, hidden]);
        let mut parts = Vec::new();
        let mut done = 0;
        for (range, tokens) in soft {
            if range.start > done {
                parts.push(rows(done, range.start)?);
            }
            parts.push(cast(&tokens.features, self.dtype)?);
            done = range.end;
        }
        if done < embedded.dim(0) as usize {
            parts.push(rows(done, embedded.dim(0) as usize)?);
        }
        Ok(concatenate(&parts, 0)?)
    }

    /// Full layers are plainly causal; sliding ones see their window, and each other within an image.
    fn shared(&self, kind: LayerType, chunk: &Chunk, offset: usize) -> Result<Shared<'_>> {
        let count = chunk.count();
        let window = self.config.window(kind);
        let has_blocks = self.config.image_blocks && kind == LayerType::Sliding;
        let shape = MaskShape {
            queries: count,
            keys: LayerCache::visible(window, offset, count),
            window,
            blocks: if has_blocks { chunk.blocks } else { &[] },
        };
        let rope = if kind == LayerType::Sliding { &self.sliding_rope } else { &self.full_rope };
        let angles = rope.angles(offset, count, self.dtype)?;
        Ok(Shared { rope, angles, mask: Mask::new(&shape, self.device)?, device: self.device })
    }

    /// `[1, H]` → `[vocab]`.
    fn logits(&self, hidden: &Array) -> Result<Array> {
        let logits = self.embed_tokens.logits(&self.norm.forward(hidden)?)?;
        let logits = cast(&logits.reshape(&[-1])?, Dtype::Float32)?;
        match &self.softcap {
            None => Ok(logits),
            Some((cap, inverse)) => Ok(tanh(logits.multiply(inverse)?)?.multiply(cap)?),
        }
    }
}

impl Layer {
    fn load(loader: &mut Loader, config: &TextConfig, index: usize, kind: LayerType) -> Result<Layer> {
        let path = format!("language_model.model.layers.{index}");
        let (hidden, inner, eps) = (config.hidden_size, config.intermediate_size, config.rms_norm_eps);
        let mut norm = |name: &str| loader.rms_norm(&format!("{path}.{name}"), hidden, eps);
        let layer = Layer {
            kind,
            input_layernorm: norm("input_layernorm")?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            pre_feedforward_layernorm: norm("pre_feedforward_layernorm")?,
            post_feedforward_layernorm: norm("post_feedforward_layernorm")?,
            attention: Attention::load(loader, config, &format!("{path}.self_attn"), kind)?,
            gate_up: loader.linear(
                &format!("{path}.mlp"),
                &[("gate_proj", inner), ("up_proj", inner)],
                hidden,
            )?,
            down: loader.linear(&format!("{path}.mlp"), &[("down_proj", hidden)], inner)?,
            layer_scalar: loader.float(&format!("{path}.layer_scalar"), &[1])?,
        };
        loader.read(layer.arrays())?;
        Ok(layer)
    }

    /// `[T, H]` → `[T, H]`, or `[1, H]` of the last row in the last layer, whose other rows nobody needs.
    fn forward(
        &self,
        hidden: &Array,
        shared: &Shared,
        cache: &mut LayerCache,
        glu: &GeluGlu,
        is_last: bool,
    ) -> Result<Array> {
        let mut attended = self.attention.forward(&self.input_layernorm.forward(hidden)?, shared, cache)?;
        let mut hidden = hidden.clone();
        if is_last && hidden.dim(0) > 1 {
            (attended, hidden) = (last_row(&attended)?, last_row(&hidden)?);
        }
        let attended = self.attention.output.forward(&attended)?;
        let hidden = hidden.add(self.post_attention_layernorm.forward(&attended)?)?;
        let fed = self.feed_forward(&self.pre_feedforward_layernorm.forward(&hidden)?, glu)?;
        let hidden = hidden.add(self.post_feedforward_layernorm.forward(&fed)?)?;
        Ok(hidden.multiply(&self.layer_scalar)?)
    }

    /// `down(gelu(gate x) · up x)`.
    fn feed_forward(&self, x: &Array, glu: &GeluGlu) -> Result<Array> {
        let both = self.gate_up.forward(x)?;
        let (rows, inner) = (both.dim(0), both.dim(1) / 2);
        let gate = mlx::slice(&both, &[0, 0], &[rows, inner])?;
        let up = mlx::slice(&both, &[0, inner], &[rows, inner * 2])?;
        self.down.forward(&glu.forward(&gate, &up)?)
    }

    fn arrays(&self) -> Vec<&Array> {
        let norms = [
            &self.input_layernorm,
            &self.post_attention_layernorm,
            &self.pre_feedforward_layernorm,
            &self.post_feedforward_layernorm,
        ];
        let mut arrays: Vec<&Array> = norms.iter().filter_map(|n| n.weight()).collect();
        arrays.extend([&self.layer_scalar, &self.attention.qk_weight]);
        for linear in [&self.attention.qkv, &self.attention.output, &self.gate_up, &self.down] {
            arrays.extend(linear.arrays());
        }
        arrays
    }
}

impl Attention {
    fn load(loader: &mut Loader, config: &TextConfig, path: &str, kind: LayerType) -> Result<Attention> {
        let heads = *config.head_config(kind);
        let (dim, hidden) = (heads.head_dim, config.hidden_size);
        let (queries, keys) = (config.heads * dim, heads.kv_heads * dim);
        let mut parts = vec![("q_proj", queries), ("k_proj", keys)];
        if !heads.k_eq_v {
            parts.push(("v_proj", keys));
        }
        let q_norm = loader.float(&format!("{path}.q_norm.weight"), &[dim])?;
        let k_norm = loader.float(&format!("{path}.k_norm.weight"), &[dim])?;
        let mut rows = vec![q_norm.reshape(&[1, -1])?; config.heads];
        rows.extend(vec![k_norm.reshape(&[1, -1])?; heads.kv_heads]);
        Ok(Attention {
            heads,
            query_heads: config.heads as i32,
            qkv: loader.linear(path, &parts, hidden)?,
            head_norm: RmsNorm::new(None, dim, config.rms_norm_eps, loader.device),
            qk_weight: concatenate(&rows, 0)?,
            output: loader.linear(path, &[("o_proj", hidden)], queries)?,
        })
    }

    /// `[T, H]` → `[T, heads · D]`, before the output projection.
    ///
    /// Every head is normalized at once: queries and keys get their weights afterwards, values (on layers without a
    /// value projection: the keys before weight and rotation) get none.
    fn forward(&self, x: &Array, shared: &Shared, cache: &mut LayerCache) -> Result<Array> {
        let (count, dim) = (x.dim(0), self.heads.head_dim as i32);
        let (queries, kv) = (self.query_heads, self.heads.kv_heads as i32);
        let projected = self.qkv.forward(x)?;
        let normed = self.head_norm.forward(&projected.reshape(&[1, count, -1, dim])?)?;
        let heads = |first: i32, stop: i32| mlx::slice(&normed, &[0, 0, first, 0], &[1, count, stop, dim]);
        let values = if self.heads.k_eq_v { queries } else { queries + kv };
        let v = head_major(&heads(values, values + kv)?)?;
        let qk = head_major(&heads(0, queries + kv)?.multiply(&self.qk_weight)?)?;
        let turned = shared.rope.apply(&qk, &shared.angles)?;
        let q = mlx::slice(&turned, &[0; 4], &[1, queries, count, dim])?;
        let k = mlx::slice(&turned, &[0, queries, 0, 0], &[1, queries + kv, count, dim])?;
        let (k, v) = cache.update(&k, &v)?;
        let attended = attend(&q, &k, &v, 1.0, &shared.mask, shared.device)?;
        Ok(head_major(&attended)?.reshape(&[count, -1])?)
    }
}

/// Swaps time and heads: `[1, T, heads, D]` ↔ `[1, heads, T, D]`.
fn head_major(x: &Array) -> Result<Array> {
    let (a, b, dim) = (x.dim(1), x.dim(2), x.dim(3));
    // With one row nothing moves, and a reshape is the cheaper operation.
    Ok(if a == 1 || b == 1 { x.reshape(&[1, b, a, dim])? } else { x.swap_axes(1, 2)? })
}

fn last_row(x: &Array) -> Result<Array> {
    mlx::slice(x, &[x.dim(0) - 1, 0], &[x.dim(0), x.dim(1)])
}

fn rope(heads: &HeadConfig, device: Device) -> Rope {
    match heads.rope {
        RopeConfig::Plain { theta } => Rope::plain(heads.head_dim, theta, device),
        RopeConfig::Proportional { theta, partial, factor } => {
            Rope::proportional(heads.head_dim, theta, partial, factor, device)
        }
    }
}

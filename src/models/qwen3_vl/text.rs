//! The language model of Qwen3-VL: Qwen3 with interleaved M-RoPE and deepstack (`Qwen3VLTextModel` of transformers).

use std::ops::Range;

use mlx_rs::ops::zeros_dtype;
use mlx_rs::{Array, Dtype};

use super::config::{MoeConfig, TextConfig};
use crate::error::Result;
use crate::models::shared::attention::{Attention, Heads};
use crate::models::shared::experts;
use crate::models::shared::head::{Head, PATH, Tables};
use crate::models::shared::mlp::Mlp;
use crate::models::shared::rows::{insert, keep};
use crate::models::shared::setting::{Kind, Setting, advance};
use crate::models::shared::whole::Decoder;
use crate::models::{Batch, Hidden};
use crate::nn::Device;
use crate::nn::activation::Glu;
use crate::nn::group::Ranks;
use crate::nn::linear::{Embedding, Linear};
use crate::nn::loader::Loader;
use crate::nn::moe::{Experts, route};
use crate::nn::norm::{RmsNorm, cast};
use crate::nn::rope::Rope;
use crate::nn::state::{Shape, State};

pub struct TextModel {
    device: Device,
    dtype: Dtype,
    hidden_size: i32,
    /// Of every layer's state.
    shape: Shape,
    embed_tokens: Embedding,
    layers: Vec<Layer>,
    head: Head,
    rope: Rope,
}

struct Layer {
    input_norm: RmsNorm,
    attention: Attention,
    post_attention_norm: RmsNorm,
    feed_forward: FeedForward,
}

enum FeedForward {
    Dense(Mlp),
    Sparse {
        /// `[E, H]`, in `f32`: a rounded score may choose another expert.
        router: Linear,
        top_k: usize,
        experts: Experts,
        ranks: Ranks,
    },
}

impl TextModel {
    /// Reads the weights, a layer at a time; `progress` gets the part of layers that is done.
    pub fn load(
        loader: &mut Loader,
        config: &TextConfig,
        progress: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<TextModel> {
        let hidden = config.hidden_size;
        let Tables { embeddings, own } = Tables::load(loader, config.tied, config.vocab_size, hidden)?;
        let mut layers = Vec::new();
        for index in 0..config.layers {
            loader.read()?;
            progress((index as f32 + 1.0) / (config.layers as f32 + 1.0))?;
            layers.push(Layer::load(loader, config, index)?);
        }
        let norm = loader.rms_norm(&format!("{PATH}.norm"), hidden, config.rms_norm_eps)?;
        Ok(TextModel {
            device: loader.device,
            dtype: loader.dtype,
            hidden_size: hidden as i32,
            shape: Shape {
                window: None,
                kv_heads: loader.heads(config.heads, config.kv_heads)?.keys.len(),
                head_dim: config.head_dim,
                dtype: loader.dtype,
            },
            embed_tokens: embeddings,
            layers,
            head: Head::new(norm, own, None),
            rope: Rope::interleaved(config.head_dim, config.rope_theta, config.mrope_section, loader.device),
        })
    }

    /// `[ΣT, H]`: zero but under soft tokens.
    fn deeper(&self, batch: &Batch, index: usize) -> Result<Array> {
        let rows: usize = batch.spans().last().map_or(0, |span| span.end);
        let width = self.hidden_size;
        let zeros = zeros_dtype(&[rows as i32, width], self.dtype)?;
        insert(&zeros, &batch.soft(), |tokens| match tokens.extra.get(index) {
            Some(features) => cast(features, self.dtype),
            None => Ok(zeros_dtype(&[tokens.features.dim(0), width], self.dtype)?),
        })
    }
}

impl Decoder for TextModel {
    fn new_state(&self) -> State {
        State::new(self.layers.iter().map(|_| self.shape))
    }

    /// Causal everywhere. After layer `n`, the rows of pictures get the tower's `n`th deeper features.
    fn forward(&self, batch: &Batch, states: &mut [&mut State]) -> Result<Hidden> {
        let soft = batch.soft();
        let embedded = self.embed_tokens.forward(&batch.ids()?)?;
        let mut hidden = insert(&embedded, &soft, |tokens| cast(&tokens.features, self.dtype))?;
        let deeper = soft.iter().map(|(_, tokens)| tokens.extra.len()).max().unwrap_or(0);
        let (dtype, device) = (self.dtype, self.device);
        let kind = Kind { rope: &self.rope, window: None, blocks: false, dtype, device };
        let setting = Setting::new(kind, batch, states)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let wanted = (index + 1 == self.layers.len()).then_some(batch);
            hidden = layer.forward(&hidden, &setting, states, index, wanted)?;
            if index < deeper {
                hidden = hidden.add(keep(&self.deeper(batch, index)?, wanted)?)?;
            }
        }
        advance(batch, states);
        Ok(Hidden { rows: hidden })
    }

    fn logits(&self, hidden: &Hidden, rows: Range<usize>) -> Result<Array> {
        self.head.logits(&self.embed_tokens, hidden, rows)
    }
}

impl Layer {
    fn load(loader: &mut Loader, config: &TextConfig, index: usize) -> Result<Layer> {
        let path = format!("{PATH}.layers.{index}");
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let heads = Heads {
            hidden_size: hidden,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            scale: (config.head_dim as f32).powf(-0.5),
            rms_norm_eps: eps,
            norms_plus_one: false,
        };
        let mlp = format!("{path}.mlp");
        let feed_forward = match config.experts_of(index) {
            Some(moe) => FeedForward::sparse(loader, &mlp, hidden, moe)?,
            None => {
                let inner = config.intermediate_size;
                FeedForward::Dense(Mlp::load(loader, &mlp, hidden, inner, Glu::Silu)?)
            }
        };
        Ok(Layer {
            input_norm: loader.rms_norm(&format!("{path}.input_layernorm"), hidden, eps)?,
            attention: Attention::load(loader, &format!("{path}.self_attn"), heads)?,
            post_attention_norm: loader.rms_norm(&format!("{path}.post_attention_layernorm"), hidden, eps)?,
            feed_forward,
        })
    }

    /// `[ΣT, H]` → `[ΣT, H]`, or the wanted rows where nobody needs the others.
    fn forward(
        &self,
        hidden: &Array,
        setting: &Setting,
        states: &mut [&mut State],
        index: usize,
        wanted: Option<&Batch>,
    ) -> Result<Array> {
        let attended = self.attention.forward(&self.input_norm.forward(hidden)?, setting, states, index)?;
        let (attended, hidden) = (keep(&attended, wanted)?, keep(hidden, wanted)?);
        let hidden = hidden.add(self.attention.output(&attended)?)?;
        Ok(hidden.add(self.feed_forward.forward(&self.post_attention_norm.forward(&hidden)?)?)?)
    }
}

impl FeedForward {
    fn sparse(loader: &mut Loader, path: &str, hidden: usize, moe: &MoeConfig) -> Result<FeedForward> {
        let sizes = experts::Sizes {
            experts: moe.experts,
            top_k: moe.top_k,
            hidden_size: hidden,
            intermediate_size: moe.intermediate_size,
        };
        Ok(FeedForward::Sparse {
            router: loader.linear_as(&format!("{path}.gate"), moe.experts, hidden, Dtype::Float32)?,
            top_k: moe.top_k,
            experts: experts::load(loader, &format!("{path}.experts"), sizes, Glu::Silu)?,
            ranks: loader.ranks.clone(),
        })
    }

    /// `[T, H]` → `[T, H]`.
    fn forward(&self, x: &Array) -> Result<Array> {
        match self {
            FeedForward::Dense(mlp) => mlp.forward(x),
            FeedForward::Sparse { router, top_k, experts, ranks } => {
                let scores = router.forward(&cast(x, Dtype::Float32)?)?;
                ranks.sum(experts.forward(x, &route(&scores, *top_k)?)?)
            }
        }
    }
}

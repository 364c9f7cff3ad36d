//! Gemma 4.

use serde_json::{Value, json};

use super::{Cache, Count, Picture, Published, Tensors, channels_last, moved};

/// One published model. Widths are counts of values.
struct Facts {
    name: &'static str,
    model_type: &'static str,
    hidden: usize,
    layers: usize,
    /// Every so many layers, one is full.
    full_every: usize,
    intermediate: usize,
    double_wide: bool,
    heads: usize,
    kv_heads: usize,
    global_kv_heads: Option<usize>,
    k_eq_v: bool,
    shared_layers: usize,
    per_layer: usize,
    window: usize,
    context: usize,
    moe: Option<Moe>,
    blocks: Option<&'static str>,
    vision: Vision,
    audio: Audio,
    /// The published count of parameters in billions, of the text model or of everything, and how exact it is.
    billions: (Scope, f64, f64),
}

struct Moe {
    experts: usize,
    top_k: usize,
    intermediate: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Text,
    Everything,
}

#[derive(Clone, Copy, PartialEq)]
enum Vision {
    Clipped,
    Standardized,
    Unified,
}

#[derive(Clone, Copy, PartialEq)]
enum Audio {
    Conformer,
    Unified,
    None,
}

const VOCAB: usize = 262_144;
const HEAD_DIM: usize = 256;
const GLOBAL_HEAD_DIM: usize = 512;

/// Counts from Google's model cards: 5.1B with embeddings; 8B with embeddings; 25.2B; 30.7B, the last two without
/// the vision tower. Of the 12B only its name is known.
const ALL: [Facts; 5] = [
    Facts {
        name: "E2B",
        model_type: "gemma4",
        hidden: 1536,
        layers: 35,
        full_every: 5,
        intermediate: 6144,
        double_wide: true,
        heads: 8,
        kv_heads: 1,
        global_kv_heads: None,
        k_eq_v: false,
        shared_layers: 20,
        per_layer: 256,
        window: 512,
        context: 131_072,
        moe: None,
        blocks: None,
        vision: Vision::Clipped,
        audio: Audio::Conformer,
        billions: (Scope::Everything, 5.1, 0.05),
    },
    Facts {
        name: "E4B",
        model_type: "gemma4",
        hidden: 2560,
        layers: 42,
        full_every: 6,
        intermediate: 10_240,
        double_wide: false,
        heads: 8,
        kv_heads: 2,
        global_kv_heads: None,
        k_eq_v: false,
        shared_layers: 18,
        per_layer: 256,
        window: 512,
        context: 131_072,
        moe: None,
        blocks: None,
        vision: Vision::Clipped,
        audio: Audio::Conformer,
        billions: (Scope::Everything, 8.0, 0.1),
    },
    Facts {
        name: "12B",
        model_type: "gemma4_unified",
        hidden: 3840,
        layers: 48,
        full_every: 6,
        intermediate: 15_360,
        double_wide: false,
        heads: 16,
        kv_heads: 8,
        global_kv_heads: Some(1),
        k_eq_v: true,
        shared_layers: 0,
        per_layer: 0,
        window: 1024,
        context: 262_144,
        moe: None,
        blocks: Some("vision"),
        vision: Vision::Unified,
        audio: Audio::Unified,
        billions: (Scope::Everything, 12.0, 0.5),
    },
    Facts {
        name: "26B-A4B",
        model_type: "gemma4",
        hidden: 2816,
        layers: 30,
        full_every: 6,
        intermediate: 2112,
        double_wide: false,
        heads: 16,
        kv_heads: 8,
        global_kv_heads: Some(2),
        k_eq_v: true,
        shared_layers: 0,
        per_layer: 0,
        window: 1024,
        context: 262_144,
        moe: Some(Moe { experts: 128, top_k: 8, intermediate: 704 }),
        blocks: Some("vision"),
        vision: Vision::Standardized,
        audio: Audio::None,
        billions: (Scope::Text, 25.2, 0.05),
    },
    Facts {
        name: "31B",
        model_type: "gemma4",
        hidden: 5376,
        layers: 60,
        full_every: 6,
        intermediate: 21_504,
        double_wide: false,
        heads: 32,
        kv_heads: 16,
        global_kv_heads: Some(4),
        k_eq_v: true,
        shared_layers: 0,
        per_layer: 0,
        window: 1024,
        context: 262_144,
        moe: None,
        blocks: Some("vision"),
        vision: Vision::Standardized,
        audio: Audio::None,
        billions: (Scope::Text, 30.7, 0.05),
    },
];

pub fn published() -> impl Iterator<Item = Published> {
    ALL.iter().map(|facts| Published {
        name: format!("Gemma 4 {}", facts.name),
        config: facts.config(),
        tensors: facts.tensors(),
        renamed: None,
        converted: converted(facts.tensors()),
        count: facts.count(),
        vocab: VOCAB,
        hidden: facts.hidden,
        context: facts.context,
        caches: (0..facts.layers - facts.shared_layers).map(|i| facts.cache(i)).collect(),
        picture: Some(facts.picture()),
    })
}

/// As mlx_vlm.convert writes them: `model.` moves, experts are split, convolutions have their channels last.
fn converted(tensors: Tensors) -> Tensors {
    let mut all = Tensors::new();
    for (name, shape) in tensors {
        let name = moved(&name);
        if let Some(at) = name.strip_suffix("experts.gate_up_proj") {
            let half = vec![shape[0], shape[1] / 2, shape[2]];
            all.push((format!("{at}experts.switch_glu.gate_proj.weight"), half.clone()));
            all.push((format!("{at}experts.switch_glu.up_proj.weight"), half));
        } else if let Some(at) = name.strip_suffix("experts.down_proj") {
            all.push((format!("{at}experts.switch_glu.down_proj.weight"), shape));
        } else if name.contains("conv") && shape.len() >= 3 {
            all.push((name, channels_last(&shape)));
        } else {
            all.push((name, shape));
        }
    }
    all
}

impl Facts {
    fn is_full(&self, layer: usize) -> bool {
        (layer + 1).is_multiple_of(self.full_every)
    }

    fn count(&self) -> Count {
        let (scope, billions, within) = &self.billions;
        let of: fn(&str) -> bool = match scope {
            Scope::Text => |name| name.contains("language_model"),
            Scope::Everything => |_| true,
        };
        Count { of, parameters: billions * 1e9, within: within * 1e9 }
    }

    fn cache(&self, layer: usize) -> Cache {
        let (heads, dim) = self.kv(layer);
        Cache { heads, dim, window: (!self.is_full(layer)).then_some(self.window) }
    }

    /// 280 soft tokens, 14 by 20.
    fn picture(&self) -> Picture {
        let (rows, columns, values) =
            if self.vision == Vision::Unified { (14, 20, 6912) } else { (42, 60, 768) };
        let together = self.blocks.is_some();
        Picture { rows, columns, values, soft_tokens: 280, extra: 0, grid: None, together }
    }

    /// Heads of keys, and their size.
    fn kv(&self, layer: usize) -> (usize, usize) {
        match (self.is_full(layer), self.global_kv_heads) {
            (true, Some(heads)) => (heads, GLOBAL_HEAD_DIM),
            (true, None) => (self.kv_heads, GLOBAL_HEAD_DIM),
            (false, _) => (self.kv_heads, HEAD_DIM),
        }
    }

    fn config(&self) -> Value {
        let types: Vec<&str> = (0..self.layers)
            .map(|i| if self.is_full(i) { "full_attention" } else { "sliding_attention" })
            .collect();
        let mut text = json!({
            "model_type": format!("{}_text", self.model_type), "dtype": "bfloat16",
            "vocab_size": VOCAB, "vocab_size_per_layer_input": VOCAB, "hidden_size": self.hidden,
            "hidden_size_per_layer_input": self.per_layer, "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers, "layer_types": types, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "num_global_key_value_heads": self.global_kv_heads,
            "num_kv_shared_layers": self.shared_layers, "head_dim": HEAD_DIM, "global_head_dim": GLOBAL_HEAD_DIM,
            "attention_k_eq_v": self.k_eq_v, "use_double_wide_mlp": self.double_wide,
            "sliding_window": self.window, "max_position_embeddings": self.context, "rms_norm_eps": 1e-6,
            "enable_moe_block": self.moe.is_some(), "final_logit_softcapping": 30.0,
            "use_bidirectional_attention": self.blocks, "tie_word_embeddings": true, "attention_bias": false,
            "hidden_activation": "gelu_pytorch_tanh", "pad_token_id": 0,
            "rope_parameters": {
                "full_attention": {
                    "partial_rotary_factor": 0.25, "rope_theta": 1e6, "rope_type": "proportional",
                },
                "sliding_attention": { "rope_theta": 1e4, "rope_type": "default" },
            },
        });
        if let Some(moe) = &self.moe {
            text["num_experts"] = json!(moe.experts);
            text["top_k_experts"] = json!(moe.top_k);
            text["moe_intermediate_size"] = json!(moe.intermediate);
        }
        json!({
            "architectures": ["Gemma4ForConditionalGeneration"], "model_type": self.model_type,
            "eos_token_id": [1, 106], "image_token_id": 258_880, "audio_token_id": 258_881, "boi_token_id": 255_999,
            "eoi_token_id": 258_882, "boa_token_id": 256_000, "eoa_token_index": 258_883, "video_token_id": 258_884,
            "text_config": text, "vision_config": self.vision_config(), "audio_config": self.audio_config(),
        })
    }

    fn vision_config(&self) -> Value {
        let clipped = self.vision == Vision::Clipped;
        match self.vision {
            Vision::Unified => json!({
                "model_type": "gemma4_unified_vision", "patch_size": 16, "pooling_kernel_size": 3,
                "model_patch_size": 48, "mm_embed_dim": 3840, "mm_posemb_size": 1120, "output_proj_dims": 3840,
            }),
            _ => {
                let (hidden, intermediate, layers, heads, head_dim) = self.tower();
                json!({
                    "model_type": "gemma4_vision", "hidden_size": hidden, "intermediate_size": intermediate,
                    "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
                    "head_dim": head_dim, "use_clipped_linears": clipped, "standardize": !clipped,
                    "patch_size": 16, "pooling_kernel_size": 3, "position_embedding_size": 10_240,
                    "rms_norm_eps": 1e-6, "rope_parameters": { "rope_theta": 100.0, "rope_type": "default" },
                    "hidden_activation": "gelu_pytorch_tanh", "default_output_length": 280,
                })
            }
        }
    }

    fn audio_config(&self) -> Value {
        match self.audio {
            Audio::None => Value::Null,
            Audio::Unified => json!({ "audio_embed_dim": 640, "audio_samples_per_token": 640 }),
            Audio::Conformer => json!({
                "model_type": "gemma4_audio", "hidden_size": 1024, "num_hidden_layers": 12,
                "num_attention_heads": 8, "subsampling_conv_channels": [128, 32], "conv_kernel_size": 5,
                "residual_weight": 0.5, "attention_chunk_size": 12, "attention_context_left": 13,
                "attention_context_right": 0, "attention_logit_cap": 50.0, "use_clipped_linears": true,
                "output_proj_dims": 1536, "rms_norm_eps": 1e-6, "hidden_act": "silu",
            }),
        }
    }

    /// Width, inner width, layers, heads and their size.
    fn tower(&self) -> (usize, usize, usize, usize, usize) {
        match self.vision {
            Vision::Clipped => (768, 3072, 16, 12, 64),
            _ => (1152, 4304, 27, 16, 72),
        }
    }

    /// All tensors under the names of the published files, less those that layers with shared keys do not need.
    fn tensors(&self) -> Tensors {
        let mut all = self.text_tensors();
        all.extend(self.vision_tensors());
        all.extend(self.audio_tensors());
        all
    }

    fn text_tensors(&self) -> Tensors {
        let at = "model.language_model";
        let mut all = vec![
            (format!("{at}.embed_tokens.weight"), vec![VOCAB, self.hidden]),
            (format!("{at}.norm.weight"), vec![self.hidden]),
        ];
        if self.per_layer > 0 {
            let width = self.layers * self.per_layer;
            all.extend([
                (format!("{at}.embed_tokens_per_layer.weight"), vec![VOCAB, width]),
                (format!("{at}.per_layer_model_projection.weight"), vec![width, self.hidden]),
                (format!("{at}.per_layer_projection_norm.weight"), vec![self.per_layer]),
            ]);
        }
        (0..self.layers).for_each(|i| all.extend(self.layer_tensors(&format!("{at}.layers.{i}"), i)));
        all
    }

    fn layer_tensors(&self, at: &str, index: usize) -> Tensors {
        let h = self.hidden;
        let shares = index >= self.layers - self.shared_layers;
        let (kv, dim) = self.kv(index);
        let inner = self.intermediate * if shares && self.double_wide { 2 } else { 1 };
        let mut all = vec![
            ("layer_scalar", vec![1]),
            ("input_layernorm.weight", vec![h]),
            ("post_attention_layernorm.weight", vec![h]),
            ("pre_feedforward_layernorm.weight", vec![h]),
            ("post_feedforward_layernorm.weight", vec![h]),
            ("self_attn.q_proj.weight", vec![self.heads * dim, h]),
            ("self_attn.o_proj.weight", vec![h, self.heads * dim]),
            ("self_attn.q_norm.weight", vec![dim]),
            ("mlp.gate_proj.weight", vec![inner, h]),
            ("mlp.up_proj.weight", vec![inner, h]),
            ("mlp.down_proj.weight", vec![h, inner]),
        ];
        if !shares {
            all.push(("self_attn.k_norm.weight", vec![dim]));
            all.push(("self_attn.k_proj.weight", vec![kv * dim, h]));
            if !(self.k_eq_v && self.is_full(index)) {
                all.push(("self_attn.v_proj.weight", vec![kv * dim, h]));
            }
        }
        if self.per_layer > 0 {
            all.push(("per_layer_input_gate.weight", vec![self.per_layer, h]));
            all.push(("per_layer_projection.weight", vec![h, self.per_layer]));
            all.push(("post_per_layer_input_norm.weight", vec![h]));
        }
        if let Some(moe) = &self.moe {
            all.extend([
                ("router.proj.weight", vec![moe.experts, h]),
                ("router.scale", vec![h]),
                ("router.per_expert_scale", vec![moe.experts]),
                ("post_feedforward_layernorm_1.weight", vec![h]),
                ("post_feedforward_layernorm_2.weight", vec![h]),
                ("pre_feedforward_layernorm_2.weight", vec![h]),
                ("experts.gate_up_proj", vec![moe.experts, 2 * moe.intermediate, h]),
                ("experts.down_proj", vec![moe.experts, h, moe.intermediate]),
            ]);
        }
        all.into_iter().map(|(name, shape)| (format!("{at}.{name}"), shape)).collect()
    }

    fn vision_tensors(&self) -> Tensors {
        if self.vision == Vision::Unified {
            return self.unified_tensors();
        }
        let (h, inner, layers, heads, dim) = self.tower();
        let at = "model.vision_tower";
        let mut all = vec![
            (format!("{at}.patch_embedder.input_proj.weight"), vec![h, 768]),
            (format!("{at}.patch_embedder.position_embedding_table"), vec![2, 10_240, h]),
            ("model.embed_vision.embedding_projection.weight".to_owned(), vec![self.hidden, h]),
        ];
        if self.vision == Vision::Standardized {
            all.push((format!("{at}.std_bias"), vec![h]));
            all.push((format!("{at}.std_scale"), vec![h]));
        }
        for i in 0..layers {
            let at = format!("{at}.encoder.layers.{i}");
            for norm in ["input", "post_attention", "pre_feedforward", "post_feedforward"] {
                all.push((format!("{at}.{norm}_layernorm.weight"), vec![h]));
            }
            all.push((format!("{at}.self_attn.q_norm.weight"), vec![dim]));
            all.push((format!("{at}.self_attn.k_norm.weight"), vec![dim]));
            let wide = heads * dim;
            for (module, shape) in [
                ("self_attn.q_proj", [wide, h]),
                ("self_attn.k_proj", [wide, h]),
                ("self_attn.v_proj", [wide, h]),
                ("self_attn.o_proj", [h, wide]),
                ("mlp.gate_proj", [inner, h]),
                ("mlp.up_proj", [inner, h]),
                ("mlp.down_proj", [h, inner]),
            ] {
                all.extend(clipped(&format!("{at}.{module}"), shape, self.vision == Vision::Clipped));
            }
        }
        all
    }

    fn unified_tensors(&self) -> Tensors {
        let at = "model.vision_embedder";
        let mut all = vec![
            (format!("{at}.patch_dense.weight"), vec![3840, 6912]),
            (format!("{at}.patch_dense.bias"), vec![3840]),
            (format!("{at}.pos_embedding"), vec![1120, 2, 3840]),
            ("model.embed_vision.embedding_projection.weight".to_owned(), vec![self.hidden, 3840]),
        ];
        for (norm, size) in [("patch_ln1", 6912), ("patch_ln2", 3840), ("pos_norm", 3840)] {
            all.push((format!("{at}.{norm}.weight"), vec![size]));
            all.push((format!("{at}.{norm}.bias"), vec![size]));
        }
        all
    }

    fn audio_tensors(&self) -> Tensors {
        let projection = "model.embed_audio.embedding_projection.weight".to_owned();
        match self.audio {
            Audio::None => return Vec::new(),
            Audio::Unified => return vec![(projection, vec![self.hidden, 640])],
            Audio::Conformer => {}
        }
        let (at, h) = ("model.audio_tower", 1024);
        let mut all = vec![
            (format!("{at}.subsample_conv_projection.layer0.conv.weight"), vec![128, 1, 3, 3]),
            (format!("{at}.subsample_conv_projection.layer0.norm.weight"), vec![128]),
            (format!("{at}.subsample_conv_projection.layer1.conv.weight"), vec![32, 128, 3, 3]),
            (format!("{at}.subsample_conv_projection.layer1.norm.weight"), vec![32]),
            (format!("{at}.subsample_conv_projection.input_proj_linear.weight"), vec![h, 1024]),
            (format!("{at}.output_proj.weight"), vec![1536, h]),
            (format!("{at}.output_proj.bias"), vec![1536]),
            (projection, vec![self.hidden, 1536]),
        ];
        for i in 0..12 {
            let at = format!("{at}.layers.{i}");
            let norms = [
                "feed_forward1.pre_layer_norm",
                "feed_forward1.post_layer_norm",
                "feed_forward2.pre_layer_norm",
                "feed_forward2.post_layer_norm",
                "lconv1d.pre_layer_norm",
                "lconv1d.conv_norm",
                "norm_pre_attn",
                "norm_post_attn",
                "norm_out",
            ];
            all.extend(norms.map(|norm| (format!("{at}.{norm}.weight"), vec![h])));
            all.push((format!("{at}.self_attn.relative_k_proj.weight"), vec![h, h]));
            all.push((format!("{at}.self_attn.per_dim_scale"), vec![h / 8]));
            all.push((format!("{at}.lconv1d.depthwise_conv1d.weight"), vec![h, 1, 5]));
            for (module, shape) in [
                ("feed_forward1.ffw_layer_1", [4 * h, h]),
                ("feed_forward1.ffw_layer_2", [h, 4 * h]),
                ("feed_forward2.ffw_layer_1", [4 * h, h]),
                ("feed_forward2.ffw_layer_2", [h, 4 * h]),
                ("self_attn.q_proj", [h, h]),
                ("self_attn.k_proj", [h, h]),
                ("self_attn.v_proj", [h, h]),
                ("self_attn.post", [h, h]),
                ("lconv1d.linear_start", [2 * h, h]),
                ("lconv1d.linear_end", [h, h]),
            ] {
                all.extend(clipped(&format!("{at}.{module}"), shape, true));
            }
        }
        all
    }
}

/// A linear layer of a tower, whose weight is one level deeper than its ranges.
fn clipped(at: &str, shape: [usize; 2], ranges: bool) -> Tensors {
    let mut all = vec![(format!("{at}.linear.weight"), shape.to_vec())];
    if ranges {
        let names = ["input_min", "input_max", "output_min", "output_max"];
        all.extend(names.map(|name| (format!("{at}.{name}"), Vec::new())));
    }
    all
}

//! Gemma 3. Its files leave out what has the default of transformers' `Gemma3TextConfig`.

use serde_json::{Value, json};

use super::{Cache, Count, Picture, Published, Tensors, channels_last};

/// One published model. Widths are counts of values.
struct Facts {
    name: &'static str,
    hidden: usize,
    layers: usize,
    intermediate: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    query_scalar: usize,
    window: usize,
    context: usize,
    vocab: usize,
    has_tower: bool,
    /// As others count that have loaded the published files, exactly.
    parameters: usize,
}

const ALL: [Facts; 4] = [
    Facts {
        name: "Gemma 3 1B",
        hidden: 1152,
        layers: 26,
        intermediate: 6912,
        heads: 4,
        kv_heads: 1,
        head_dim: 256,
        query_scalar: 256,
        window: 512,
        context: 32_768,
        vocab: 262_144,
        has_tower: false,
        parameters: 999_885_952,
    },
    Facts {
        name: "Gemma 3 4B",
        hidden: 2560,
        layers: 34,
        intermediate: 10_240,
        heads: 8,
        kv_heads: 4,
        head_dim: 256,
        query_scalar: 256,
        window: 1024,
        context: 131_072,
        vocab: 262_208,
        has_tower: true,
        parameters: 4_300_079_472,
    },
    Facts {
        name: "Gemma 3 12B",
        hidden: 3840,
        layers: 48,
        intermediate: 15_360,
        heads: 16,
        kv_heads: 8,
        head_dim: 256,
        query_scalar: 256,
        window: 1024,
        context: 131_072,
        vocab: 262_208,
        has_tower: true,
        parameters: 12_187_325_040,
    },
    Facts {
        name: "Gemma 3 27B",
        hidden: 5376,
        layers: 62,
        intermediate: 21_504,
        heads: 32,
        kv_heads: 16,
        head_dim: 128,
        query_scalar: 168,
        window: 1024,
        context: 131_072,
        vocab: 262_208,
        has_tower: true,
        parameters: 27_432_406_640,
    },
];

/// Width, inner width and layers of the tower.
const TOWER: (usize, usize, usize) = (1152, 4304, 27);

pub fn published() -> impl Iterator<Item = Published> {
    ALL.iter().map(|facts| Published {
        name: facts.name.to_owned(),
        config: if facts.has_tower { facts.config() } else { facts.text_only_config() },
        tensors: facts.tensors(),
        renamed: facts.has_tower.then(|| renamed(facts.tensors())),
        converted: facts.converted(),
        count: Count { of: |_| true, parameters: facts.parameters as f64, within: 0.0 },
        vocab: facts.vocab,
        hidden: facts.hidden,
        context: facts.context,
        caches: (0..facts.layers).map(|i| facts.cache(i)).collect(),
        picture: facts.has_tower.then_some(Picture {
            rows: 64,
            columns: 64,
            values: 588,
            soft_tokens: 256,
            extra: 0,
            grid: None,
            together: true,
        }),
    })
}

/// transformers from 4.52 on puts the parts under `model`.
fn renamed(tensors: Tensors) -> Tensors {
    let name = |name: String| match name.strip_prefix("language_model.model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None => format!("model.{name}"),
    };
    tensors.into_iter().map(|(old, shape)| (name(old), shape)).collect()
}

impl Facts {
    fn cache(&self, layer: usize) -> Cache {
        let is_full = (layer + 1).is_multiple_of(6);
        Cache { heads: self.kv_heads, dim: self.head_dim, window: (!is_full).then_some(self.window) }
    }

    fn config(&self) -> Value {
        let mut text = json!({
            "hidden_size": self.hidden, "intermediate_size": self.intermediate, "model_type": "gemma3_text",
            "num_hidden_layers": self.layers, "rope_scaling": { "factor": 8.0, "rope_type": "linear" },
            "sliding_window": self.window,
        });
        for (key, value, default) in [
            ("num_attention_heads", self.heads, 8),
            ("num_key_value_heads", self.kv_heads, 4),
            ("head_dim", self.head_dim, 256),
            ("query_pre_attn_scalar", self.query_scalar, 256),
        ] {
            if value != default {
                text[key] = json!(value);
            }
        }
        json!({
            "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "bfloat16",
            "boi_token_index": 255_999, "eoi_token_index": 256_000, "image_token_index": 262_144,
            "eos_token_id": [1, 106], "mm_tokens_per_image": 256, "initializer_range": 0.02, "text_config": text,
            "vision_config": {
                "hidden_size": TOWER.0, "image_size": 896, "intermediate_size": TOWER.1,
                "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers": TOWER.2,
                "patch_size": 14, "vision_use_head": false,
            },
        })
    }

    /// The 1B's file has all keys.
    fn text_only_config(&self) -> Value {
        json!({
            "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "torch_dtype": "bfloat16",
            "attention_bias": false, "attention_dropout": 0.0, "attn_logit_softcapping": null, "bos_token_id": 2,
            "cache_implementation": "hybrid", "eos_token_id": [1, 106], "final_logit_softcapping": null,
            "head_dim": self.head_dim, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": self.hidden,
            "initializer_range": 0.02, "intermediate_size": self.intermediate,
            "max_position_embeddings": self.context, "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers, "num_key_value_heads": self.kv_heads, "pad_token_id": 0,
            "query_pre_attn_scalar": self.query_scalar, "rms_norm_eps": 1e-6, "rope_local_base_freq": 10_000,
            "rope_scaling": null, "rope_theta": 1_000_000, "sliding_window": self.window,
            "sliding_window_pattern": 6, "use_cache": true, "vocab_size": self.vocab,
        })
    }

    fn tensors(&self) -> Tensors {
        let at = if self.has_tower { "language_model.model" } else { "model" };
        let mut all = vec![
            (format!("{at}.embed_tokens.weight"), vec![self.vocab, self.hidden]),
            (format!("{at}.norm.weight"), vec![self.hidden]),
        ];
        (0..self.layers).for_each(|i| all.extend(self.layer_tensors(&format!("{at}.layers.{i}"))));
        if self.has_tower {
            all.extend(self.vision_tensors());
        }
        all
    }

    /// mlx_vlm.convert copies the table to a head; mlx_lm.convert, which takes the 1B, does not.
    fn converted(&self) -> Tensors {
        let mut all = self.tensors();
        for (_, shape) in all.iter_mut().filter(|(name, _)| name.ends_with("patch_embedding.weight")) {
            *shape = channels_last(shape);
        }
        if self.has_tower {
            all.push(("language_model.lm_head.weight".to_owned(), vec![self.vocab, self.hidden]));
        }
        all
    }

    fn layer_tensors(&self, at: &str) -> Tensors {
        let (h, inner, dim) = (self.hidden, self.intermediate, self.head_dim);
        let all = [
            ("input_layernorm", vec![h]),
            ("post_attention_layernorm", vec![h]),
            ("pre_feedforward_layernorm", vec![h]),
            ("post_feedforward_layernorm", vec![h]),
            ("self_attn.q_proj", vec![self.heads * dim, h]),
            ("self_attn.k_proj", vec![self.kv_heads * dim, h]),
            ("self_attn.v_proj", vec![self.kv_heads * dim, h]),
            ("self_attn.o_proj", vec![h, self.heads * dim]),
            ("self_attn.q_norm", vec![dim]),
            ("self_attn.k_norm", vec![dim]),
            ("mlp.gate_proj", vec![inner, h]),
            ("mlp.up_proj", vec![inner, h]),
            ("mlp.down_proj", vec![h, inner]),
        ];
        all.into_iter().map(|(module, shape)| (format!("{at}.{module}.weight"), shape)).collect()
    }

    fn vision_tensors(&self) -> Tensors {
        let (h, inner, layers) = TOWER;
        let at = "vision_tower.vision_model";
        let mut all = vec![
            (format!("{at}.embeddings.patch_embedding.weight"), vec![h, 3, 14, 14]),
            (format!("{at}.embeddings.patch_embedding.bias"), vec![h]),
            (format!("{at}.embeddings.position_embedding.weight"), vec![4096, h]),
            (format!("{at}.post_layernorm.weight"), vec![h]),
            (format!("{at}.post_layernorm.bias"), vec![h]),
            ("multi_modal_projector.mm_input_projection_weight".to_owned(), vec![h, self.hidden]),
            ("multi_modal_projector.mm_soft_emb_norm.weight".to_owned(), vec![h]),
        ];
        for i in 0..layers {
            for (module, shape) in [
                ("layer_norm1", vec![h]),
                ("layer_norm2", vec![h]),
                ("self_attn.q_proj", vec![h, h]),
                ("self_attn.k_proj", vec![h, h]),
                ("self_attn.v_proj", vec![h, h]),
                ("self_attn.out_proj", vec![h, h]),
                ("mlp.fc1", vec![inner, h]),
                ("mlp.fc2", vec![h, inner]),
            ] {
                let at = format!("{at}.encoder.layers.{i}.{module}");
                all.push((format!("{at}.bias"), shape[..1].to_vec()));
                all.push((format!("{at}.weight"), shape));
            }
        }
        all
    }
}

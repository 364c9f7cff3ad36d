//! Qwen3-VL.

use serde_json::{Value, json};

use super::{Cache, Count, Picture, Published, Tensors, channels_last, moved};

/// One published model. Widths are counts of values.
struct Facts {
    name: &'static str,
    hidden: usize,
    layers: usize,
    intermediate: usize,
    heads: usize,
    kv_heads: usize,
    tied: bool,
    moe: Option<Moe>,
    tower: Tower,
    /// As others count that have loaded, served or copied the published files, exactly.
    parameters: usize,
}

struct Moe {
    experts: usize,
    top_k: usize,
    intermediate: usize,
}

struct Tower {
    hidden: usize,
    intermediate: usize,
    depth: usize,
    deepstack: [usize; 3],
}

const VOCAB: usize = 151_936;
const HEAD_DIM: usize = 128;
const CONTEXT: usize = 262_144;

const SMALL: Tower = Tower { hidden: 1024, intermediate: 4096, depth: 24, deepstack: [5, 11, 17] };
const LARGE: Tower = Tower { hidden: 1152, intermediate: 4304, depth: 27, deepstack: [8, 16, 24] };

const ALL: [Facts; 6] = [
    Facts {
        name: "Qwen3-VL 2B",
        hidden: 2048,
        layers: 28,
        intermediate: 6144,
        heads: 16,
        kv_heads: 8,
        tied: true,
        moe: None,
        tower: SMALL,
        parameters: 2_127_532_032,
    },
    Facts {
        name: "Qwen3-VL 4B",
        hidden: 2560,
        layers: 36,
        intermediate: 9728,
        heads: 32,
        kv_heads: 8,
        tied: true,
        moe: None,
        tower: SMALL,
        parameters: 4_437_815_808,
    },
    Facts {
        name: "Qwen3-VL 8B",
        hidden: 4096,
        layers: 36,
        intermediate: 12_288,
        heads: 32,
        kv_heads: 8,
        tied: false,
        moe: None,
        tower: LARGE,
        parameters: 8_767_123_696,
    },
    Facts {
        name: "Qwen3-VL 32B",
        hidden: 5120,
        layers: 64,
        intermediate: 25_600,
        heads: 64,
        kv_heads: 8,
        tied: false,
        moe: None,
        tower: LARGE,
        parameters: 33_357_390_064,
    },
    Facts {
        name: "Qwen3-VL 30B-A3B",
        hidden: 2048,
        layers: 48,
        intermediate: 6144,
        heads: 32,
        kv_heads: 4,
        tied: false,
        moe: Some(Moe { experts: 128, top_k: 8, intermediate: 768 }),
        tower: LARGE,
        parameters: 31_070_754_032,
    },
    Facts {
        name: "Qwen3-VL 235B-A22B",
        hidden: 4096,
        layers: 94,
        intermediate: 12_288,
        heads: 64,
        kv_heads: 4,
        tied: false,
        moe: Some(Moe { experts: 128, top_k: 8, intermediate: 1536 }),
        tower: LARGE,
        parameters: 235_670_022_896,
    },
];

pub fn published() -> impl Iterator<Item = Published> {
    ALL.iter().map(|facts| Published {
        name: facts.name.to_owned(),
        config: facts.config(),
        tensors: facts.tensors(),
        renamed: facts.moe.is_some().then(|| straight(facts.tensors())),
        converted: converted(facts.tensors()),
        count: Count { of: |_| true, parameters: facts.parameters as f64, within: 0.0 },
        vocab: VOCAB,
        hidden: facts.hidden,
        context: CONTEXT,
        caches: (0..facts.layers).map(|_| facts.cache()).collect(),
        // 12 by 16 squares of four patches, each of two frames.
        picture: Some(Picture {
            rows: 24,
            columns: 32,
            values: 1536,
            soft_tokens: 192,
            extra: 3,
            grid: Some((12, 16)),
            together: false,
        }),
    })
}

/// Whether the name is that of one of the two tensors of all experts.
fn is_of_experts(name: &str) -> bool {
    name.contains("mlp.experts.")
}

/// transformers from 5.0 on has experts as `[E, out, in]`.
fn straight(tensors: Tensors) -> Tensors {
    let turn = |(name, mut shape): (String, Vec<usize>)| {
        if is_of_experts(&name) {
            shape.swap(1, 2);
        }
        (name, shape)
    };
    tensors.into_iter().map(turn).collect()
}

/// As mlx_vlm.convert writes them: parts move, experts are split and turned, the convolution has its channels last.
fn converted(tensors: Tensors) -> Tensors {
    let mut all = Tensors::new();
    for (name, shape) in straight(tensors) {
        let name = match name.strip_prefix("model.visual.") {
            Some(rest) => format!("vision_tower.{rest}"),
            None if name == "lm_head.weight" => "language_model.lm_head.weight".to_owned(),
            None => moved(&name),
        };
        if let Some(at) = name.strip_suffix("experts.gate_up_proj") {
            let half = vec![shape[0], shape[1] / 2, shape[2]];
            all.push((format!("{at}switch_mlp.gate_proj.weight"), half.clone()));
            all.push((format!("{at}switch_mlp.up_proj.weight"), half));
        } else if let Some(at) = name.strip_suffix("experts.down_proj") {
            all.push((format!("{at}switch_mlp.down_proj.weight"), shape));
        } else if name.ends_with("patch_embed.proj.weight") {
            all.push((name, channels_last(&shape)));
        } else {
            all.push((name, shape));
        }
    }
    all
}

impl Facts {
    fn cache(&self) -> Cache {
        Cache { heads: self.kv_heads, dim: HEAD_DIM, window: None }
    }

    fn model_type(&self) -> &'static str {
        if self.moe.is_some() { "qwen3_vl_moe" } else { "qwen3_vl" }
    }

    fn config(&self) -> Value {
        let class = if self.moe.is_some() { "Qwen3VLMoe" } else { "Qwen3VL" };
        let mut text = json!({
            "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151_643, "dtype": "bfloat16",
            "eos_token_id": 151_645, "head_dim": HEAD_DIM, "hidden_act": "silu", "hidden_size": self.hidden,
            "initializer_range": 0.02, "intermediate_size": self.intermediate, "max_position_embeddings": CONTEXT,
            "model_type": format!("{}_text", self.model_type()), "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers, "num_key_value_heads": self.kv_heads, "rms_norm_eps": 1e-6,
            "rope_scaling": {
                "mrope_interleaved": true, "mrope_section": [24, 20, 20], "rope_type": "default",
            },
            "rope_theta": 5_000_000, "use_cache": true, "vocab_size": VOCAB,
        });
        if self.tied {
            text["tie_word_embeddings"] = json!(true);
        }
        if let Some(moe) = &self.moe {
            text["decoder_sparse_step"] = json!(1);
            text["mlp_only_layers"] = json!([]);
            text["moe_intermediate_size"] = json!(moe.intermediate);
            text["norm_topk_prob"] = json!(true);
            text["num_experts"] = json!(moe.experts);
            text["num_experts_per_tok"] = json!(moe.top_k);
        }
        json!({
            "architectures": [format!("{class}ForConditionalGeneration")], "model_type": self.model_type(),
            "image_token_id": 151_655, "video_token_id": 151_656, "vision_start_token_id": 151_652,
            "vision_end_token_id": 151_653, "tie_word_embeddings": self.tied, "text_config": text,
            "vision_config": self.vision_config(),
        })
    }

    fn vision_config(&self) -> Value {
        let Tower { hidden, intermediate, depth, deepstack } = self.tower;
        json!({
            "deepstack_visual_indexes": deepstack, "depth": depth, "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": hidden, "in_channels": 3, "initializer_range": 0.02,
            "intermediate_size": intermediate, "model_type": self.model_type(), "num_heads": 16,
            "num_position_embeddings": 2304, "out_hidden_size": self.hidden, "patch_size": 16,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        })
    }

    fn tensors(&self) -> Tensors {
        let at = "model.language_model";
        let mut all = vec![
            (format!("{at}.embed_tokens.weight"), vec![VOCAB, self.hidden]),
            (format!("{at}.norm.weight"), vec![self.hidden]),
        ];
        if !self.tied {
            all.push(("lm_head.weight".to_owned(), vec![VOCAB, self.hidden]));
        }
        (0..self.layers).for_each(|i| all.extend(self.layer_tensors(&format!("{at}.layers.{i}"))));
        all.extend(self.vision_tensors());
        all
    }

    fn layer_tensors(&self, at: &str) -> Tensors {
        let h = self.hidden;
        let mut all = vec![
            ("input_layernorm.weight", vec![h]),
            ("post_attention_layernorm.weight", vec![h]),
            ("self_attn.q_proj.weight", vec![self.heads * HEAD_DIM, h]),
            ("self_attn.k_proj.weight", vec![self.kv_heads * HEAD_DIM, h]),
            ("self_attn.v_proj.weight", vec![self.kv_heads * HEAD_DIM, h]),
            ("self_attn.o_proj.weight", vec![h, self.heads * HEAD_DIM]),
            ("self_attn.q_norm.weight", vec![HEAD_DIM]),
            ("self_attn.k_norm.weight", vec![HEAD_DIM]),
        ];
        match &self.moe {
            None => all.extend([
                ("mlp.gate_proj.weight", vec![self.intermediate, h]),
                ("mlp.up_proj.weight", vec![self.intermediate, h]),
                ("mlp.down_proj.weight", vec![h, self.intermediate]),
            ]),
            Some(moe) => all.extend([
                ("mlp.gate.weight", vec![moe.experts, h]),
                ("mlp.experts.gate_up_proj", vec![moe.experts, h, 2 * moe.intermediate]),
                ("mlp.experts.down_proj", vec![moe.experts, moe.intermediate, h]),
            ]),
        }
        all.into_iter().map(|(name, shape)| (format!("{at}.{name}"), shape)).collect()
    }

    fn vision_tensors(&self) -> Tensors {
        let Tower { hidden: h, intermediate: inner, depth, deepstack } = self.tower;
        let at = "model.visual";
        let mut all = vec![(format!("{at}.pos_embed.weight"), vec![2304, h])];
        let mut add = |module: &str, shape: Vec<usize>| {
            all.push((format!("{at}.{module}.bias"), shape[..1].to_vec()));
            all.push((format!("{at}.{module}.weight"), shape));
        };
        add("patch_embed.proj", vec![h, 3, 2, 16, 16]);
        for i in 0..depth {
            for (module, shape) in [
                ("norm1", vec![h]),
                ("norm2", vec![h]),
                ("attn.qkv", vec![3 * h, h]),
                ("attn.proj", vec![h, h]),
                ("mlp.linear_fc1", vec![inner, h]),
                ("mlp.linear_fc2", vec![h, inner]),
            ] {
                add(&format!("blocks.{i}.{module}"), shape);
            }
        }
        let deeper = (0..deepstack.len()).map(|i| (format!("deepstack_merger_list.{i}"), 4 * h));
        for (merger, normed) in deeper.chain([("merger".to_owned(), h)]) {
            add(&format!("{merger}.norm"), vec![normed]);
            add(&format!("{merger}.linear_fc1"), vec![4 * h, 4 * h]);
            add(&format!("{merger}.linear_fc2"), vec![self.hidden, 4 * h]);
        }
        all
    }
}

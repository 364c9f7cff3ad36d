//! One name for each tensor, whoever wrote the file.

/// Where the names of towers, and of what brings their outputs to the language model, begin.
const TOWERS: [&str; 6] = [
    "vision_tower.",
    "audio_tower.",
    "embed_vision.",
    "embed_audio.",
    "vision_embedder.",
    "multi_modal_projector.",
];

/// The name that mlx_vlm.convert gives to the tensor that a file calls `name`, less levels that only some files have.
///
/// Hugging Face's files have `model.language_model.X`, `model.visual.X`, `model.vision_tower.X`, `lm_head.weight` and
/// so on; MLX's have `language_model.model.X`, `vision_tower.X`, `language_model.lm_head.weight`. Text-only files
/// have `model.layers.…` without a tower's prefix, or `layers.…` with none at all. Matrices of experts are those of
/// `….experts.gate_proj.weight`, whatever the module around them is called.
pub fn canonical(name: &str) -> String {
    let mut rest = name;
    let mut of_language_model = false;
    loop {
        if let Some(inner) = rest.strip_prefix("model.") {
            rest = inner;
        } else if let Some(inner) = rest.strip_prefix("language_model.") {
            (rest, of_language_model) = (inner, true);
        } else {
            break;
        }
    }
    let text = ["layers.", "embed_tokens.", "embed_tokens_per_layer.", "norm.", "per_layer_", "rotary_emb."];
    if text.iter().any(|start| rest.starts_with(start)) {
        return format!("language_model.model.{}", experts(rest));
    }
    if rest.starts_with("lm_head.") {
        return format!("language_model.{rest}");
    }
    if let Some(rest) = rest.strip_prefix("visual.") {
        return format!("vision_tower.{rest}");
    }
    if is_of_tower(rest) {
        return tower(rest);
    }
    if of_language_model { format!("language_model.model.{rest}") } else { rest.to_owned() }
}

/// Whether a canonical name is that of a tensor of a tower.
pub fn is_of_tower(name: &str) -> bool {
    TOWERS.iter().any(|start| name.starts_with(start))
}

/// Levels that come and go with versions of transformers.
fn tower(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("vision_tower.vision_model.") {
        return format!("vision_tower.{rest}");
    }
    for embedder in ["embed_vision.", "embed_audio."] {
        let Some(rest) = name.strip_prefix(embedder) else { continue };
        if let Some(rest) = rest.strip_prefix("multimodal_embedder.") {
            return format!("{embedder}{rest}");
        }
        if rest.starts_with("patch_") || rest.starts_with("pos_") {
            return format!("vision_embedder.{rest}");
        }
    }
    name.to_owned()
}

/// `experts.switch_glu`, `switch_mlp` and `experts` are the same; a matrix without a module around it gets one.
fn experts(name: &str) -> String {
    let mut name = name.to_owned();
    for module in [".experts.switch_glu.", ".experts.switch_mlp.", ".switch_glu.", ".switch_mlp."] {
        name = name.replace(module, ".experts.");
    }
    let bare = [".experts.gate_up_proj", ".experts.gate_proj", ".experts.up_proj", ".experts.down_proj"];
    if bare.iter().any(|end| name.ends_with(end)) {
        name += ".weight";
    }
    name
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn all_layouts_meet() {
        let text = "language_model.model.layers.3.mlp.down_proj.weight";
        let of_prefix = |prefix: &str| format!("{prefix}layers.3.mlp.down_proj.weight");
        for prefix in [
            "",
            "model.",
            "language_model.",
            "language_model.model.",
            "model.language_model.",
            "model.language_model.model.",
        ] {
            assert_eq!(canonical(&of_prefix(prefix)), text);
        }
        let experts = "language_model.model.layers.0.mlp.experts";
        let same = [
            ("model.language_model.embed_tokens.weight", "language_model.model.embed_tokens.weight"),
            ("model.embed_tokens_per_layer.weight", "language_model.model.embed_tokens_per_layer.weight"),
            ("norm.weight", "language_model.model.norm.weight"),
            (
                "model.per_layer_projection_norm.weight",
                "language_model.model.per_layer_projection_norm.weight",
            ),
            ("lm_head.weight", "language_model.lm_head.weight"),
            ("model.lm_head.scales", "language_model.lm_head.scales"),
            ("model.vision_tower.std_bias", "vision_tower.std_bias"),
            ("model.visual.blocks.0.norm1.bias", "vision_tower.blocks.0.norm1.bias"),
            ("visual.blocks.0.norm1.bias", "vision_tower.blocks.0.norm1.bias"),
            ("vision_tower.vision_model.post_layernorm.bias", "vision_tower.post_layernorm.bias"),
            ("model.vision_embedder.patch_dense.weight", "vision_embedder.patch_dense.weight"),
            ("model.embed_vision.patch_dense.weight", "vision_embedder.patch_dense.weight"),
            ("model.embed_vision.pos_norm.bias", "vision_embedder.pos_norm.bias"),
            ("model.embed_vision.embedding_projection.weight", "embed_vision.embedding_projection.weight"),
            (
                "model.embed_vision.multimodal_embedder.embedding_projection.weight",
                "embed_vision.embedding_projection.weight",
            ),
            ("model.layers.0.mlp.experts.gate_up_proj", &format!("{experts}.gate_up_proj.weight")),
            ("model.layers.0.mlp.switch_mlp.up_proj.scales", &format!("{experts}.up_proj.scales")),
            ("model.layers.0.mlp.experts.7.up_proj.weight", &format!("{experts}.7.up_proj.weight")),
            (
                "layers.0.experts.switch_glu.down_proj.biases",
                "language_model.model.layers.0.experts.down_proj.biases",
            ),
            ("model.something.else", "something.else"),
        ];
        for (file, name) in same {
            assert_eq!(canonical(file), name);
            assert_eq!(canonical(name), name, "canonical names stay");
        }
    }
}

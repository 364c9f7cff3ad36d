//! One name for each tensor, whoever wrote the file.

/// The name that mlx_vlm.convert gives to the tensor that a file calls `name`.
///
/// Hugging Face's files have `model.language_model.X`, `model.visual.X`, `model.vision_tower.X`, `lm_head.weight` and
/// so on; MLX's have `language_model.model.X`, `vision_tower.X`, `language_model.lm_head.weight`. Text-only files
/// have `model.layers.…` without a tower's prefix.
pub fn canonical(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("model.language_model.") {
        return format!("language_model.model.{rest}");
    }
    if let Some(rest) = name.strip_prefix("model.visual.") {
        return format!("vision_tower.{rest}");
    }
    if let Some(rest) = name.strip_prefix("model.") {
        let text = ["layers.", "embed_tokens.", "embed_tokens_per_layer.", "norm.", "per_layer_"];
        let is_text = text.iter().any(|start| rest.starts_with(start));
        return if is_text { format!("language_model.model.{rest}") } else { rest.to_owned() };
    }
    if name.starts_with("lm_head.") {
        return format!("language_model.{name}");
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn both_layouts_meet() {
        let same = [
            (
                "model.language_model.layers.3.mlp.down_proj.weight",
                "language_model.model.layers.3.mlp.down_proj.weight",
            ),
            ("model.language_model.embed_tokens.weight", "language_model.model.embed_tokens.weight"),
            ("model.vision_embedder.patch_dense.weight", "vision_embedder.patch_dense.weight"),
            ("model.embed_vision.embedding_projection.weight", "embed_vision.embedding_projection.weight"),
            ("model.vision_tower.std_bias", "vision_tower.std_bias"),
            ("model.visual.blocks.0.norm1.bias", "vision_tower.blocks.0.norm1.bias"),
            ("lm_head.weight", "language_model.lm_head.weight"),
            (
                "model.layers.0.self_attn.q_proj.scales",
                "language_model.model.layers.0.self_attn.q_proj.scales",
            ),
            ("model.norm.weight", "language_model.model.norm.weight"),
            ("model.embed_tokens_per_layer.weight", "language_model.model.embed_tokens_per_layer.weight"),
            (
                "model.per_layer_projection_norm.weight",
                "language_model.model.per_layer_projection_norm.weight",
            ),
        ];
        for (file, name) in same {
            assert_eq!(canonical(file), name);
            assert_eq!(canonical(name), name, "canonical names stay");
        }
    }
}

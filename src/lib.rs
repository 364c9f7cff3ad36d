//! rmlx: multimodal language models on the device, over Apple MLX.

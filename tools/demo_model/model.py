"""The demo model: a small Gemma 4 unified of transformers, its configuration in the published files' form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Gemma4UnifiedConfig, Gemma4UnifiedForConditionalGeneration

SLIDING, FULL = "sliding_attention", "full_attention"
LAYERS = [SLIDING, SLIDING, FULL, SLIDING, FULL]
WINDOW = 96


def configuration(token_ids: dict[str, int], vocabulary: int) -> dict[str, Any]:
    """config.json; `token_ids` by the names that `Conversation.id` has."""
    return {
        "architectures": ["Gemma4UnifiedForConditionalGeneration"],
        "model_type": "gemma4_unified",
        "dtype": "bfloat16",
        "eos_token_id": [1, token_ids["turn_end"]],
        "pad_token_id": token_ids["pad"],
        "tie_word_embeddings": True,
        "boi_token_id": token_ids["boi"],
        "eoi_token_id": token_ids["eoi"],
        "image_token_id": token_ids["image"],
        "video_token_id": token_ids["video"],
        "boa_token_id": token_ids["boa"],
        "eoa_token_index": token_ids["eoa"],
        "audio_token_id": token_ids["audio"],
        "vision_soft_tokens_per_image": 70,
        "initializer_range": 0.02,
        "text_config": {
            "model_type": "gemma4_unified_text",
            "dtype": "bfloat16",
            "vocab_size": vocabulary,
            "vocab_size_per_layer_input": 0,
            "hidden_size": 256,
            "hidden_size_per_layer_input": 0,
            "intermediate_size": 320,
            "num_hidden_layers": len(LAYERS),
            "layer_types": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "num_global_key_value_heads": 1,
            "head_dim": 64,
            "global_head_dim": 128,
            "attention_k_eq_v": True,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "num_kv_shared_layers": 0,
            "use_double_wide_mlp": False,
            "enable_moe_block": False,
            "hidden_activation": "gelu_pytorch_tanh",
            "max_position_embeddings": 4096,
            "sliding_window": WINDOW,
            "use_bidirectional_attention": "vision",
            "final_logit_softcapping": 30.0,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                FULL: {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0},
                SLIDING: {"rope_type": "default", "rope_theta": 10000.0},
            },
            "initializer_range": 0.02,
            "tie_word_embeddings": True,
            "use_cache": True,
            "pad_token_id": token_ids["pad"],
            "bos_token_id": 2,
            "eos_token_id": 1,
        },
        "vision_config": {
            "model_type": "gemma4_unified_vision",
            "dtype": "bfloat16",
            "patch_size": 16,
            "pooling_kernel_size": 3,
            "model_patch_size": 48,
            "mm_embed_dim": 64,
            "mm_posemb_size": 128,
            "output_proj_dims": 64,
            "num_soft_tokens": 70,
            "rms_norm_eps": 1e-6,
            "initializer_range": 0.02,
        },
        "audio_config": {
            "model_type": "gemma4_unified_audio",
            "dtype": "bfloat16",
            "audio_embed_dim": 640,
            "audio_samples_per_token": 640,
            "hidden_size": 640,
            "output_proj_dims": 640,
            "rms_norm_eps": 1e-6,
            "initializer_range": 0.02,
        },
    }


def build(config: dict[str, Any], attention: str = "sdpa") -> Gemma4UnifiedForConditionalGeneration:
    """The model of a configuration, with fp32 weights."""
    parsed = Gemma4UnifiedConfig(**without_dtype(config))
    parsed._attn_implementation = attention
    return Gemma4UnifiedForConditionalGeneration(parsed).float()


def without_dtype(config: dict[str, Any]) -> dict[str, Any]:
    return {
        key: without_dtype(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in ("dtype", "architectures")
    }


def initialize(model: Gemma4UnifiedForConditionalGeneration) -> None:
    """Unit-variance outputs everywhere, small first steps: the attention has no 1/sqrt(D), the residual no damping."""
    for name, parameter in model.named_parameters():
        if name.endswith("embed_tokens.weight") or parameter.ndim == 2:
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
        elif name.endswith(("q_norm.weight", "k_norm.weight")):
            nn.init.constant_(parameter, parameter.shape[0] ** -0.25)
        elif name.endswith(("post_attention_layernorm.weight", "post_feedforward_layernorm.weight")):
            nn.init.constant_(parameter, 0.4)
        elif name.endswith("pos_embedding"):
            nn.init.normal_(parameter, std=0.5)


def masks(block: Tensor | None, length: int, device: torch.device) -> dict[str, Tensor]:
    """What each layer type may see, True where it may: the official rule.

    Full layers are causal. Sliding layers see (earlier positions or the same picture) and the window. `block` [n, T]
    holds each position's picture number, -1 outside pictures; None for text only.
    """
    at = torch.arange(length, device=device)
    causal = at[None, :] <= at[:, None]
    near = at[None, :] > at[:, None] - WINDOW
    full = causal[None, None]
    if block is None:
        return {FULL: full, SLIDING: (causal & near)[None, None]}
    same = (block[:, None, :] == block[:, :, None]) & (block[:, :, None] >= 0)
    return {FULL: full.expand(block.shape[0], 1, length, length), SLIDING: ((causal | same) & near)[:, None]}


def logits_of(
    model: Gemma4UnifiedForConditionalGeneration,
    ids: Tensor,
    slot: Tensor,
    block: Tensor | None,
    pixels: Tensor | None,
    positions: Tensor | None,
    frames: Tensor | None,
) -> Tensor:
    """Logits [n, T, V] by the model's own modules, without the data-dependent shapes of its forward().

    `slot` [n, T] says which soft token (of all the row's pictures, then sounds) a position holds, -1 for text.
    pixels [n, pictures, 70, 6912], positions [n, pictures, 70, 2], frames [n, sounds, F, 640].
    """
    inner = model.model
    n, length = ids.shape
    embedded = inner.get_input_embeddings()(torch.where(slot >= 0, 0, ids))
    soft = []
    if pixels is not None and positions is not None:
        vision = inner.embed_vision(pixels.flatten(0, 1), positions.flatten(0, 1), return_dict=True).pooler_output
        soft.append(vision.reshape(n, -1, vision.shape[-1]))
    if frames is not None:
        audio = inner.embed_audio(inputs_embeds=frames.flatten(0, 1))
        soft.append(audio.reshape(n, -1, audio.shape[-1]))
    if soft:
        joined = torch.cat(soft, dim=1)
        gathered = torch.gather(joined, 1, slot.clamp(min=0)[..., None].expand(-1, -1, joined.shape[-1]))
        embedded = torch.where((slot >= 0)[..., None], gathered.to(embedded.dtype), embedded)
    positions_1d = torch.arange(length, device=ids.device)[None]
    hidden = inner.language_model(
        inputs_embeds=embedded,
        attention_mask=masks(block, length, ids.device),
        position_ids=positions_1d,
        use_cache=False,
    ).last_hidden_state
    logits = model.lm_head(hidden).float()
    cap = model.config.get_text_config().final_logit_softcapping
    return cap * torch.tanh(logits / cap)

"""Makes random gemma4_unified snapshots of about 200 million parameters for the benchmark.

    python tools/make_midsize.py --base tests/fixtures/unified-bf16-hf --out target/bench/snapshots

The tokenizer, the chat template and every setting but the sizes come from the base snapshot. All formats hold the
same values, quantized or not. Needs numpy, mlx and tokenizers.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
from tokenizers import Tokenizer

Tensors = dict[str, mx.array]
Parameters = dict[str, int | str]

HIDDEN = 1024
INTERMEDIATE = 4096
LAYER_TYPES = (["sliding_attention"] * 5 + ["full_attention"]) * 2
HEADS = 8
KV_HEADS = 4
GLOBAL_KV_HEADS = 1
HEAD_DIM = 128
GLOBAL_HEAD_DIM = 256
SLIDING_WINDOW = 512
VOCAB_ROWS = 16384
VISION_EMBED = 1024
POSITIONS = 1120
SOFT_TOKENS = 280
CONTEXT = 8192
EMBEDDING_STD = 0.4
PROMPT_TOKENS = 512

FORMATS: dict[str, Parameters | None] = {
    "bf16": None,
    "affine4": {"group_size": 64, "bits": 4, "mode": "affine"},
    "mxfp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
    "nvfp4": {"group_size": 16, "bits": 4, "mode": "nvfp4"},
    "mxfp8": {"group_size": 32, "bits": 8, "mode": "mxfp8"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="a snapshot whose tokenizer and settings are taken")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, one snapshot for each format")
    parser.add_argument("--formats", default=",".join(FORMATS), help="default: %(default)s")
    arguments = parser.parse_args()
    mx.set_default_device(mx.cpu)
    weights = random_weights(json.loads((arguments.base / "config.json").read_text())["vision_config"])
    for name in arguments.formats.split(","):
        write_snapshot(arguments.out / f"midsize-{name}", arguments.base, weights, FORMATS[name])


def write_snapshot(folder: Path, base: Path, weights: Tensors, parameters: Parameters | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
        shutil.copyfile(base / name, folder / name)
    write_json(folder / "config.json", model_config(base, parameters))
    write_json(folder / "processor_config.json", processor_config(base))
    tensors: Tensors = {}
    for name, weight in weights.items():
        module = name.removesuffix(".weight")
        if parameters is None or not is_quantizable(module, weight):
            tensors[name] = weight
            continue
        parts = zip(("weight", "scales", "biases"), mx.quantize(weight, **parameters))
        tensors |= {f"{module}.{part}": tensor for part, tensor in parts}
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, metadata={"format": "mlx"})
    (folder / "bench_prompt.txt").write_text(prompt_of(base, PROMPT_TOKENS) + "\n", encoding="utf-8")


def is_quantizable(module: str, weight: mx.array) -> bool:
    """What converters quantize: linears and embeddings, less those of the vision path."""
    return weight.ndim == 2 and weight.shape[1] % 64 == 0 and "vision" not in module


def model_config(base: Path, parameters: Parameters | None) -> dict[str, object]:
    config = json.loads((base / "config.json").read_text())
    config["vision_soft_tokens_per_image"] = SOFT_TOKENS
    config["text_config"] |= {
        "vocab_size": VOCAB_ROWS,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": len(LAYER_TYPES),
        "layer_types": LAYER_TYPES,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "num_global_key_value_heads": GLOBAL_KV_HEADS,
        "head_dim": HEAD_DIM,
        "global_head_dim": GLOBAL_HEAD_DIM,
        "sliding_window": SLIDING_WINDOW,
        "max_position_embeddings": CONTEXT,
    }
    config["vision_config"] |= {
        "mm_embed_dim": VISION_EMBED,
        "mm_posemb_size": POSITIONS,
        "output_proj_dims": VISION_EMBED,
        "num_soft_tokens": SOFT_TOKENS,
    }
    if parameters is not None:
        config |= {"quantization": parameters, "quantization_config": parameters}
    return config


def processor_config(base: Path) -> dict[str, object]:
    config = json.loads((base / "processor_config.json").read_text())
    config["image_seq_length"] = SOFT_TOKENS
    for processor in ("image_processor", "video_processor"):
        config[processor]["max_soft_tokens"] = SOFT_TOKENS
    config["image_processor"]["image_seq_length"] = SOFT_TOKENS
    return config


def random_weights(vision: dict[str, int]) -> Tensors:
    """Every tensor, in the mlx layout, scaled so that activations neither vanish nor grow."""
    random = np.random.default_rng(0)

    def normal(shape: tuple[int, ...], std: float) -> mx.array:
        return mx.array(random.standard_normal(shape, dtype=np.float32) * std).astype(mx.bfloat16)

    def linear(outputs: int, inputs: int, gain: float = 1.0) -> mx.array:
        return normal((outputs, inputs), gain / inputs**0.5)

    def ones(size: int, value: float = 1.0) -> mx.array:
        return mx.full((size,), value, dtype=mx.bfloat16)

    # Soft tokens are as large as scaled text embeddings.
    soft_gain = EMBEDDING_STD * HIDDEN**0.5
    patch = (vision["patch_size"] * vision["pooling_kernel_size"]) ** 2 * 3
    weights: Tensors = {
        "language_model.model.embed_tokens.weight": normal((VOCAB_ROWS, HIDDEN), EMBEDDING_STD),
        "language_model.model.norm.weight": ones(HIDDEN),
        "vision_embedder.patch_dense.weight": linear(VISION_EMBED, patch),
        "vision_embedder.patch_dense.bias": normal((VISION_EMBED,), 0.1),
        "vision_embedder.pos_embedding": normal((POSITIONS, 2, VISION_EMBED), 0.5),
        "embed_vision.embedding_projection.weight": linear(HIDDEN, VISION_EMBED, soft_gain),
        "embed_audio.embedding_projection.weight": linear(HIDDEN, 640, soft_gain),
    }
    for norm, size in (("patch_ln1", patch), ("patch_ln2", VISION_EMBED), ("pos_norm", VISION_EMBED)):
        weights[f"vision_embedder.{norm}.weight"] = ones(size)
        weights[f"vision_embedder.{norm}.bias"] = mx.zeros((size,), dtype=mx.bfloat16)
    for index, layer_type in enumerate(LAYER_TYPES):
        full = layer_type == "full_attention"
        head_dim = GLOBAL_HEAD_DIM if full else HEAD_DIM
        kv_size = head_dim * (GLOBAL_KV_HEADS if full else KV_HEADS)
        layer = {
            "self_attn.q_proj.weight": linear(HEADS * head_dim, HIDDEN),
            "self_attn.k_proj.weight": linear(kv_size, HIDDEN),
            "self_attn.o_proj.weight": linear(HIDDEN, HEADS * head_dim),
            "self_attn.q_norm.weight": ones(head_dim, 1.6 / head_dim**0.25),
            "self_attn.k_norm.weight": ones(head_dim, 1.6 / head_dim**0.25),
            "mlp.gate_proj.weight": linear(INTERMEDIATE, HIDDEN),
            "mlp.up_proj.weight": linear(INTERMEDIATE, HIDDEN),
            "mlp.down_proj.weight": linear(HIDDEN, INTERMEDIATE),
            "input_layernorm.weight": ones(HIDDEN),
            "post_attention_layernorm.weight": ones(HIDDEN),
            "pre_feedforward_layernorm.weight": ones(HIDDEN),
            "post_feedforward_layernorm.weight": ones(HIDDEN),
            "layer_scalar": ones(1),
        }
        if not full:
            layer["self_attn.v_proj.weight"] = linear(kv_size, HIDDEN)
        weights |= {f"language_model.model.layers.{index}.{name}": tensor for name, tensor in layer.items()}
    mx.eval(list(weights.values()))
    return weights


def prompt_of(base: Path, tokens: int) -> str:
    """Words that are about so many tokens long; the chat template adds a few."""
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    words = "the light on the water moves slowly while a small boat crosses from one side to the other and".split()
    text = "Tell me about this:"
    for index in range(tokens):
        longer = f"{text} {words[index % len(words)]}"
        if len(tokenizer.encode(longer, add_special_tokens=False).ids) > tokens - 8:
            break
        text = longer
    return text


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Writes random snapshots with the exact configurations of published Gemma 4 models, for `cargo xtask gpu-check`.

    python tools/make_fullsize.py --model e4b --format mxfp4 --base tests/fixtures --out target/gpu-check

What they say is noise; what they need in memory and time is what the real ones need. Tokenizer, chat template and the
ids of special tokens come from a fixture of the same kind, everything else is the published model's, in the names,
layout and quantization that mlx-vlm's converter writes. Needs numpy.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

BLOCK_BYTES = 1 << 25
SHARD_BYTES = 4 << 30
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
TOKEN_IDS = ("image", "audio", "video", "boi", "eoi", "boa")

FORMATS = {
    "mxfp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
    "nvfp4": {"group_size": 16, "bits": 4, "mode": "nvfp4"},
}
# A scale of 2^-7 resp. 2^-6: weights of about 0.02.
SCALE_BYTE = {"mxfp4": 120, "nvfp4": 0x08}
ROUTER = {"group_size": 64, "bits": 8}

ROPE = {
    "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1e6, "rope_type": "proportional"},
    "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
}
COMMON_TEXT = {
    "model_type": "gemma4_text",
    "vocab_size": 262144,
    "vocab_size_per_layer_input": 262144,
    "head_dim": 256,
    "global_head_dim": 512,
    "hidden_activation": "gelu_pytorch_tanh",
    "final_logit_softcapping": 30.0,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "use_double_wide_mlp": False,
    "rope_parameters": ROPE,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
}
E4B_TEXT = COMMON_TEXT | {
    "hidden_size": 2560,
    "hidden_size_per_layer_input": 256,
    "intermediate_size": 10240,
    "num_hidden_layers": 42,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_global_key_value_heads": None,
    "num_kv_shared_layers": 18,
    "attention_k_eq_v": False,
    "use_bidirectional_attention": None,
    "enable_moe_block": False,
    "sliding_window": 512,
    "max_position_embeddings": 131072,
}
A4B_TEXT = COMMON_TEXT | {
    "hidden_size": 2816,
    "hidden_size_per_layer_input": 0,
    "intermediate_size": 2112,
    "num_hidden_layers": 30,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "num_global_key_value_heads": 2,
    "num_kv_shared_layers": 0,
    "attention_k_eq_v": True,
    "use_bidirectional_attention": "vision",
    "enable_moe_block": True,
    "num_experts": 128,
    "top_k_experts": 8,
    "moe_intermediate_size": 704,
    "sliding_window": 1024,
    "max_position_embeddings": 262144,
}
DENSE_TEXT = COMMON_TEXT | {
    "hidden_size": 5376,
    "hidden_size_per_layer_input": 0,
    "intermediate_size": 21504,
    "num_hidden_layers": 60,
    "num_attention_heads": 32,
    "num_key_value_heads": 16,
    "num_global_key_value_heads": 4,
    "num_kv_shared_layers": 0,
    "attention_k_eq_v": True,
    "use_bidirectional_attention": "vision",
    "enable_moe_block": False,
    "sliding_window": 1024,
    "max_position_embeddings": 262144,
}
COMMON_VISION = {
    "model_type": "gemma4_vision",
    "patch_size": 16,
    "pooling_kernel_size": 3,
    "position_embedding_size": 10240,
    "rms_norm_eps": 1e-6,
    "hidden_activation": "gelu_pytorch_tanh",
    "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"},
    "default_output_length": 280,
}
SMALL_VISION = COMMON_VISION | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 16,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "head_dim": 64,
    "use_clipped_linears": True,
    "standardize": False,
}
LARGE_VISION = COMMON_VISION | {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 72,
    "use_clipped_linears": False,
    "standardize": True,
}
AUDIO = {
    "model_type": "gemma4_audio",
    "hidden_size": 1024,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "subsampling_conv_channels": [128, 32],
    "conv_kernel_size": 5,
    "residual_weight": 0.5,
    "attention_chunk_size": 12,
    "attention_context_left": 13,
    "attention_context_right": 0,
    "attention_logit_cap": 50.0,
    "attention_invalid_logits_value": -1e9,
    "use_clipped_linears": True,
    "gradient_clipping": 1e10,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "output_proj_dims": 1536,
}


@dataclass(frozen=True)
class Model:
    """A published configuration, and the fixture whose tokenizer stands in for its own."""

    fixture: str
    text: dict
    vision: dict
    audio: dict | None


MODELS = {
    "e4b": Model("e4b-nvfp4", E4B_TEXT, SMALL_VISION, AUDIO),
    "31b": Model("dense31-mxfp4", DENSE_TEXT, LARGE_VISION, None),
    "26b-a4b": Model("moe-mixed", A4B_TEXT, LARGE_VISION, None),
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: `fill` is a byte, "noise", or a number for every value."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    fill: int | str | float

    @property
    def bytes(self) -> int:
        return prod(self.shape) * {"U32": 4, "U8": 1, "BF16": 2}[self.dtype]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--base", type=Path, required=True, help="the folder of the fixtures")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write the snapshot's folder into")
    arguments = parser.parse_args()
    model = MODELS[arguments.model]
    folder = arguments.out / f"{arguments.model}-{arguments.format}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = arguments.base / model.fixture
    for name in TOKENIZER_FILES:
        shutil.copyfile(base / name, folder / name)
    write_json(folder / "processor_config.json", processor_config(base))
    tensors = list(all_tensors(model, arguments.format))
    write_json(folder / "config.json", config(model, base, arguments.format))
    write_shards(folder, tensors)
    print(f"{folder}: {len(tensors)} tensors, {sum(t.bytes for t in tensors) / 1e9:.2f} GB")


def all_tensors(model: Model, mode: str) -> Iterator[Tensor]:
    yield from text_tensors(model.text, mode)
    yield from vision_tensors(model.vision)
    hidden = model.text["hidden_size"]
    yield dense("embed_vision.embedding_projection", hidden, model.vision["hidden_size"])
    if model.audio:
        yield from audio_tensors(model.audio)
        yield from packed("embed_audio.embedding_projection", (hidden, model.audio["output_proj_dims"]), mode)


def layer_types(text: dict) -> list[str]:
    return ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(text["num_hidden_layers"])]


def text_tensors(text: dict, mode: str) -> Iterator[Tensor]:
    root = "language_model.model"
    hidden, layers, per_layer = text["hidden_size"], text["num_hidden_layers"], text["hidden_size_per_layer_input"]
    yield from packed(f"{root}.embed_tokens", (text["vocab_size"], hidden), mode)
    yield ones(f"{root}.norm.weight", hidden)
    if per_layer:
        yield from packed(f"{root}.embed_tokens_per_layer", (text["vocab_size"], layers * per_layer), mode)
        yield from packed(f"{root}.per_layer_model_projection", (layers * per_layer, hidden), mode)
        yield ones(f"{root}.per_layer_projection_norm.weight", per_layer)
    for index, kind in enumerate(layer_types(text)):
        path = f"{root}.layers.{index}"
        norms = ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
        if text["enable_moe_block"]:
            norms += ["post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"]
            yield from expert_tensors(path, text, mode)
        if per_layer:
            norms.append("post_per_layer_input_norm")
            yield from packed(f"{path}.per_layer_input_gate", (per_layer, hidden), mode)
            yield from packed(f"{path}.per_layer_projection", (hidden, per_layer), mode)
        for norm in norms:
            yield ones(f"{path}.{norm}.weight", hidden)
        yield ones(f"{path}.layer_scalar", 1)
        inner = text["intermediate_size"]
        yield from packed(f"{path}.mlp.gate_proj", (inner, hidden), mode)
        yield from packed(f"{path}.mlp.up_proj", (inner, hidden), mode)
        yield from packed(f"{path}.mlp.down_proj", (hidden, inner), mode)
        is_shared = index >= layers - text["num_kv_shared_layers"]
        yield from attention_tensors(f"{path}.self_attn", text, kind, is_shared, mode)


def attention_tensors(path: str, text: dict, kind: str, is_shared: bool, mode: str) -> Iterator[Tensor]:
    is_full = kind == "full_attention"
    hidden, heads = text["hidden_size"], text["num_attention_heads"]
    dim = text["global_head_dim"] if is_full else text["head_dim"]
    k_eq_v = is_full and text["attention_k_eq_v"]
    kv_heads = text["num_global_key_value_heads"] if k_eq_v else text["num_key_value_heads"]
    yield from packed(f"{path}.q_proj", (heads * dim, hidden), mode)
    yield from packed(f"{path}.o_proj", (hidden, heads * dim), mode)
    yield ones(f"{path}.q_norm.weight", dim)
    if is_shared:
        return
    yield from packed(f"{path}.k_proj", (kv_heads * dim, hidden), mode)
    yield ones(f"{path}.k_norm.weight", dim)
    if not k_eq_v:
        yield from packed(f"{path}.v_proj", (kv_heads * dim, hidden), mode)


def expert_tensors(path: str, text: dict, mode: str) -> Iterator[Tensor]:
    experts, hidden, inner = text["num_experts"], text["hidden_size"], text["moe_intermediate_size"]
    router = f"{path}.router"
    yield Tensor(f"{router}.proj.weight", "U32", (experts, hidden * ROUTER["bits"] // 32), "noise")
    yield Tensor(f"{router}.proj.scales", "BF16", (experts, hidden // ROUTER["group_size"]), 0.0005)
    yield Tensor(f"{router}.proj.biases", "BF16", (experts, hidden // ROUTER["group_size"]), -0.06)
    yield ones(f"{router}.scale", hidden)
    yield ones(f"{router}.per_expert_scale", experts)
    for name, shape in {"gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner)}.items():
        yield from packed(f"{path}.experts.switch_glu.{name}_proj", (experts, *shape), mode)


def vision_tensors(vision: dict) -> Iterator[Tensor]:
    hidden, inner, root = vision["hidden_size"], vision["intermediate_size"], "vision_tower"
    yield dense(f"{root}.patch_embedder.input_proj", hidden, 3 * vision["patch_size"] ** 2)
    positions = (2, vision["position_embedding_size"], hidden)
    yield Tensor(f"{root}.patch_embedder.position_embedding_table", "BF16", positions, "noise")
    if vision["standardize"]:
        yield Tensor(f"{root}.std_bias", "BF16", (hidden,), 0.0)
        yield ones(f"{root}.std_scale", hidden)
    for index in range(vision["num_hidden_layers"]):
        path = f"{root}.encoder.layers.{index}"
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            yield ones(f"{path}.{norm}_layernorm.weight", hidden)
        for name in ("q", "k", "v", "o"):
            yield from clippable(f"{path}.self_attn.{name}_proj", hidden, hidden, vision)
        for name in ("q", "k"):
            yield ones(f"{path}.self_attn.{name}_norm.weight", vision["head_dim"])
        for name, (out, size) in {"gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner)}.items():
            yield from clippable(f"{path}.mlp.{name}_proj", out, size, vision)


def audio_tensors(audio: dict) -> Iterator[Tensor]:
    hidden, root = audio["hidden_size"], "audio_tower"
    first, second = audio["subsampling_conv_channels"]
    subsample = f"{root}.subsample_conv_projection"
    yield Tensor(f"{subsample}.layer0.conv.weight", "BF16", (first, 3, 3, 1), "noise")
    yield Tensor(f"{subsample}.layer1.conv.weight", "BF16", (second, 3, 3, first), "noise")
    yield ones(f"{subsample}.layer0.norm.weight", first)
    yield ones(f"{subsample}.layer1.norm.weight", second)
    yield dense(f"{subsample}.input_proj_linear", hidden, 32 * second)
    yield dense(f"{root}.output_proj", audio["output_proj_dims"], hidden)
    yield Tensor(f"{root}.output_proj.bias", "BF16", (audio["output_proj_dims"],), 0.0)
    for index in range(audio["num_hidden_layers"]):
        path = f"{root}.layers.{index}"
        for forward in ("feed_forward1", "feed_forward2"):
            yield from clippable(f"{path}.{forward}.ffw_layer_1", 4 * hidden, hidden, audio)
            yield from clippable(f"{path}.{forward}.ffw_layer_2", hidden, 4 * hidden, audio)
            yield ones(f"{path}.{forward}.pre_layer_norm.weight", hidden)
            yield ones(f"{path}.{forward}.post_layer_norm.weight", hidden)
        for name in ("q_proj", "k_proj", "v_proj", "post"):
            yield from clippable(f"{path}.self_attn.{name}", hidden, hidden, audio)
        yield dense(f"{path}.self_attn.relative_k_proj", hidden, hidden)
        yield Tensor(f"{path}.self_attn.per_dim_scale", "BF16", (hidden // audio["num_attention_heads"],), 0.0)
        yield from clippable(f"{path}.lconv1d.linear_start", 2 * hidden, hidden, audio)
        yield from clippable(f"{path}.lconv1d.linear_end", hidden, hidden, audio)
        yield Tensor(f"{path}.lconv1d.depthwise_conv1d.weight", "BF16", (hidden, audio["conv_kernel_size"], 1), "noise")
        yield ones(f"{path}.lconv1d.pre_layer_norm.weight", hidden)
        yield ones(f"{path}.lconv1d.conv_norm.weight", hidden)
        for norm in ("norm_pre_attn", "norm_post_attn", "norm_out"):
            yield ones(f"{path}.{norm}.weight", hidden)


def clippable(path: str, out: int, size: int, tower: dict) -> Iterator[Tensor]:
    yield dense(f"{path}.linear", out, size)
    if tower["use_clipped_linears"]:
        for bound, value in {"input_min": -40.0, "input_max": 40.0, "output_min": -40.0, "output_max": 40.0}.items():
            yield Tensor(f"{path}.{bound}", "BF16", (), value)


def dense(path: str, out: int, size: int) -> Tensor:
    return Tensor(f"{path}.weight", "BF16", (out, size), "noise")


def ones(name: str, size: int) -> Tensor:
    return Tensor(name, "BF16", (size,), 1.0)


def packed(path: str, shape: tuple[int, ...], mode: str) -> Iterator[Tensor]:
    """A matrix, or one for each expert, in 4-bit codes."""
    *lead, size = shape
    yield Tensor(f"{path}.weight", "U32", (*lead, size // 8), "noise")
    yield Tensor(f"{path}.scales", "U8", (*lead, size // FORMATS[mode]["group_size"]), SCALE_BYTE[mode])


def config(model: Model, base: Path, mode: str) -> dict:
    own = json.loads((base / "config.json").read_text())
    ids = {f"{name}_token_id": own[f"{name}_token_id"] for name in TOKEN_IDS}
    ids |= {key: own[key] for key in ("eoa_token_id", "eoa_token_index") if key in own}
    quantization: dict = dict(FORMATS[mode])
    if model.text["enable_moe_block"]:
        for index in range(model.text["num_hidden_layers"]):
            quantization[f"language_model.model.layers.{index}.router.proj"] = ROUTER
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "eos_token_id": own["eos_token_id"],
        "vision_soft_tokens_per_image": 280,
        "text_config": model.text | {"layer_types": layer_types(model.text)},
        "vision_config": model.vision,
        "audio_config": model.audio,
        "quantization": quantization,
        "quantization_config": quantization,
    } | ids


def processor_config(base: Path) -> dict:
    """The fixture's, with the published budget of an image."""
    processor = json.loads((base / "processor_config.json").read_text())
    processor["image_processor"] |= {"max_soft_tokens": 280, "image_seq_length": 280}
    return processor


def write_shards(folder: Path, tensors: list[Tensor]) -> None:
    shards: list[list[Tensor]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(t.bytes for t in shards[-1]) + tensor.bytes > SHARD_BYTES:
            shards.append([])
        shards[-1].append(tensor)
    random = np.random.default_rng(7)
    codes = random.bytes(BLOCK_BYTES)
    # bf16 values of deviation 0.02: the upper halves of f32 values.
    values = (random.standard_normal(BLOCK_BYTES // 2, dtype=np.float32) * 0.02).view(np.uint32) >> 16
    noise = {"U32": codes, "BF16": values.astype(np.uint16).tobytes()}
    for number, shard in enumerate(shards, 1):
        write_shard(folder / f"model-{number:05}-of-{len(shards):05}.safetensors", shard, noise)


def write_shard(path: Path, tensors: list[Tensor], noise: dict[str, bytes]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "mlx"}}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.bytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            for part in content(tensor, noise):
                file.write(part)


def content(tensor: Tensor, noise: dict[str, bytes]) -> Iterator[bytes]:
    block = noise.get(tensor.dtype, b"")
    if isinstance(tensor.fill, float):
        upper = np.float32(tensor.fill).view(np.uint32) >> 16
        block = int(upper).to_bytes(2, "little") * (BLOCK_BYTES // 2)
    elif isinstance(tensor.fill, int):
        block = bytes([tensor.fill]) * BLOCK_BYTES
    left = tensor.bytes
    while left > 0:
        yield block[: min(left, BLOCK_BYTES)]
        left -= BLOCK_BYTES


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

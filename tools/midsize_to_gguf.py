"""Writes a snapshot of make_midsize.py as GGUF, with the same values where GGUF has their storage.

    PYTHONPATH=LLAMA_CPP/gguf-py python tools/midsize_to_gguf.py SNAPSHOT OUT.gguf

bf16, mxfp4 and nvfp4 are the same numbers, packed otherwise. Affine 4 bits become Q4_0 and mxfp8 becomes Q8_0, made from
the snapshot's values: the nearest storages that GGUF has. Needs numpy and llama.cpp's gguf.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Storage

DTYPES = {"BF16": np.uint16, "F32": np.float32, "U32": np.uint32, "U8": np.uint8}
LAYER = "language_model.model.layers.{}."
MATRICES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NORMS = {
    "attn_norm": "input_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
NORMAL, CONTROL, UNUSED = 1, 3, 5
# Of the full layers' heads, this share turns.
PARTIAL_ROTARY = 0.25


class Snapshot:
    """The tensors of a folder with one weight file, and its plan of quantization."""

    def __init__(self, folder: Path) -> None:
        raw = np.memmap(folder / "model.safetensors", dtype=np.uint8, mode="r")
        size = int(raw[:8].view("<u8")[0])
        self.header = json.loads(raw[8 : 8 + size].tobytes())
        self.body = raw[8 + size :]
        self.config = json.loads((folder / "config.json").read_text())
        self.mode = self.config.get("quantization", {}).get("mode", "bf16")

    def __contains__(self, name: str) -> bool:
        return name in self.header

    def tensor(self, name: str) -> np.ndarray:
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        return np.ascontiguousarray(self.body[begin:end]).view(DTYPES[entry["dtype"]]).reshape(entry["shape"])

    def floats(self, name: str) -> np.ndarray:
        tensor = self.tensor(name)
        if self.header[name]["dtype"] == "BF16":
            return (tensor.astype(np.uint32) << 16).view(np.float32)
        return tensor.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    snapshot = Snapshot(arguments.snapshot)
    unfinished = arguments.out.with_suffix(".unfinished")
    writer = gguf.GGUFWriter(str(unfinished), "gemma4")
    add_sizes(writer, snapshot.config["text_config"])
    add_vocabulary(writer, arguments.snapshot, snapshot.config["text_config"]["vocab_size"])
    add_tensors(writer, snapshot)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(arguments.out)


def add_sizes(writer: gguf.GGUFWriter, text: dict) -> None:
    sliding = [kind == "sliding_attention" for kind in text["layer_types"]]
    heads = [text["num_key_value_heads"] if s else text["num_global_key_value_heads"] for s in sliding]
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(text["num_attention_heads"])
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_rope_freq_base(1e6)
    writer.add_rope_freq_base_swa(1e4)
    writer.add_sliding_window(text["sliding_window"])
    writer.add_sliding_window_pattern(sliding)
    writer.add_key_length(text["global_head_dim"])
    writer.add_value_length(text["global_head_dim"])
    writer.add_key_length_swa(text["head_dim"])
    writer.add_value_length_swa(text["head_dim"])
    writer.add_rope_dimension_count(text["global_head_dim"])
    writer.add_rope_dimension_count_swa(text["head_dim"])
    writer.add_shared_kv_layers(0)
    writer.add_embedding_length_per_layer_input(0)
    writer.add_final_logit_softcapping(text.get("final_logit_softcapping") or 30.0)


def add_vocabulary(writer: gguf.GGUFWriter, folder: Path, size: int) -> None:
    """llama.cpp wants a text for each token; here they only have to be distinct, as the prompt comes as ids."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    texts = {index: text for text, index in tokenizer["model"]["vocab"].items()}
    added = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    texts |= added
    kinds = [CONTROL if i in added else NORMAL if i in texts else UNUSED for i in range(size)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list([texts.get(index, f"<filler{index}>") for index in range(size)])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)


def add_tensors(writer: gguf.GGUFWriter, snapshot: Snapshot) -> None:
    text = snapshot.config["text_config"]
    add_matrix(writer, snapshot, "token_embd.weight", "language_model.model.embed_tokens")
    writer.add_tensor("output_norm.weight", snapshot.floats("language_model.model.norm.weight"))
    half = text["global_head_dim"] // 2
    turning = int(half * PARTIAL_ROTARY)
    # Frequencies are divided by these: the rest of a head stands still.
    factors = np.array([1.0] * turning + [1e30] * (half - turning), dtype=np.float32)
    writer.add_tensor("rope_freqs.weight", factors)
    for index in range(text["num_hidden_layers"]):
        ours, theirs = LAYER.format(index), f"blk.{index}."
        for name, module in MATRICES.items():
            if f"{ours}{module}.weight" in snapshot:
                add_matrix(writer, snapshot, f"{theirs}{name}.weight", ours + module)
        for name, module in NORMS.items():
            writer.add_tensor(f"{theirs}{name}.weight", snapshot.floats(f"{ours}{module}.weight"))
        writer.add_tensor(f"{theirs}layer_output_scale.weight", snapshot.floats(f"{ours}layer_scalar"))


def add_matrix(writer: gguf.GGUFWriter, snapshot: Snapshot, name: str, module: str) -> None:
    storage, blocks = STORAGES[snapshot.mode](snapshot, module)
    writer.add_tensor(name, np.ascontiguousarray(blocks), raw_dtype=storage)


def as_bf16(snapshot: Snapshot, module: str) -> tuple[Storage, np.ndarray]:
    return Storage.BF16, snapshot.tensor(f"{module}.weight").view(np.uint8)


def as_mxfp4(snapshot: Snapshot, module: str) -> tuple[Storage, np.ndarray]:
    """Blocks of a scale and 32 codes, of which a byte has one of the first and one of the second half."""
    codes = nibbles(snapshot.tensor(f"{module}.weight")).reshape(-1, 32)
    scales = snapshot.tensor(f"{module}.scales")
    packed = codes[:, :16] | (codes[:, 16:] << 4)
    blocks = np.concatenate([scales.reshape(-1, 1), packed], axis=-1)
    return Storage.MXFP4, blocks.reshape(scales.shape[0], -1)


def as_nvfp4(snapshot: Snapshot, module: str) -> tuple[Storage, np.ndarray]:
    """Blocks of four scales and four times 16 codes."""
    codes = nibbles(snapshot.tensor(f"{module}.weight")).reshape(-1, 4, 16)
    scales = snapshot.tensor(f"{module}.scales")
    packed = (codes[..., :8] | (codes[..., 8:] << 4)).reshape(-1, 32)
    blocks = np.concatenate([scales.reshape(-1, 4), packed], axis=-1)
    return Storage.NVFP4, blocks.reshape(scales.shape[0], -1)


def as_q4_0(snapshot: Snapshot, module: str) -> tuple[Storage, np.ndarray]:
    codes = nibbles(snapshot.tensor(f"{module}.weight")).astype(np.float32)
    scales, biases = (snapshot.floats(f"{module}.{part}") for part in ("scales", "biases"))
    groups = codes.reshape(*scales.shape, -1)
    values = (groups * scales[..., None] + biases[..., None]).reshape(codes.shape)
    return Storage.Q4_0, gguf.quants.quantize(values, Storage.Q4_0)


def as_q8_0(snapshot: Snapshot, module: str) -> tuple[Storage, np.ndarray]:
    codes = snapshot.tensor(f"{module}.weight").view(np.uint8)
    scales = np.ldexp(np.float32(1), snapshot.tensor(f"{module}.scales").astype(np.int32) - 127)
    groups = e4m3(codes).reshape(*scales.shape, -1)
    values = (groups * scales[..., None]).reshape(codes.shape)
    return Storage.Q8_0, gguf.quants.quantize(values.astype(np.float32), Storage.Q8_0)


STORAGES = {"bf16": as_bf16, "mxfp4": as_mxfp4, "nvfp4": as_nvfp4, "affine": as_q4_0, "mxfp8": as_q8_0}


def nibbles(words: np.ndarray) -> np.ndarray:
    """u32 [rows, columns / 8], the lowest bits first, to u8 [rows, columns]."""
    bytes_ = words.view(np.uint8)
    return np.stack([bytes_ & 15, bytes_ >> 4], axis=-1).reshape(words.shape[0], -1)


def e4m3(codes: np.ndarray) -> np.ndarray:
    """8-bit floats with 4 bits of exponent (bias 7) and 3 of mantissa."""
    exponent, mantissa = ((codes >> 3) & 15).astype(np.int32), (codes & 7).astype(np.float32)
    size = np.where(exponent > 0, np.ldexp(1 + mantissa / 8, exponent - 7), np.ldexp(mantissa / 8, -6))
    return np.where(codes & 128, -size, size).astype(np.float32)


if __name__ == "__main__":
    main()

"""Write the quantized variants of a master, in the layout that mlx-vlm's converter writes.

    python quantize.py models/demo/bf16 models/demo

Names lose their "model." and the language model gains one; linears and embeddings are packed by MLX itself, except
under a path with "vision"; config.json holds `quantization` twice and generation_config.json's keys.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx

VARIANTS: dict[str, dict[str, Any]] = {
    "mxfp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
    "nvfp4": {"group_size": 16, "bits": 4, "mode": "nvfp4"},
    "mxfp8": {"group_size": 32, "bits": 8, "mode": "mxfp8"},
    "affine4": {"group_size": 64, "bits": 4, "mode": "affine"},
}
PACKED = (
    "embed_tokens",
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "embedding_projection",
)
FROM_GENERATION = ("eos_token_id", "do_sample", "temperature", "top_k", "top_p")
COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "processor_config.json",
    "generation_config.json",
)


def mlx_name(name: str) -> str:
    language = "model.language_model."
    if name.startswith(language):
        return "language_model.model." + name[len(language) :]
    return name.removeprefix("model.")


def is_packed(name: str, weight: mx.array, group_size: int) -> bool:
    path, _, last = name.rpartition(".")
    return (
        last == "weight"
        and path.rpartition(".")[2] in PACKED
        and "vision" not in path
        and weight.shape[-1] % group_size == 0
        and weight.size % 64 == 0
    )


def pack(weights: dict[str, mx.array], parameters: dict[str, Any]) -> dict[str, mx.array]:
    packed: dict[str, mx.array] = {}
    for name, weight in weights.items():
        if not is_packed(name, weight, parameters["group_size"]):
            packed[name] = weight
            continue
        parts = mx.quantize(weight, **parameters)
        for part, array in zip(("weight", "scales", "biases"), parts):
            packed[f"{name.removesuffix('.weight')}.{part}"] = array
    return packed


def converted_config(master: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    config = json.loads((master / "config.json").read_text())
    generation = json.loads((master / "generation_config.json").read_text())
    config["generation_config"] = generation
    config |= {key: generation[key] for key in FROM_GENERATION if key in generation}
    config["quantization"] = config["quantization_config"] = parameters
    return dict(sorted(config.items()))


def write_variant(master: Path, target: Path, parameters: dict[str, Any]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    weights = {mlx_name(name): array for name, array in mx.load(str(master / "model.safetensors")).items()}
    packed = pack(weights, parameters)
    mx.eval(packed)
    mx.save_safetensors(str(target / "model.safetensors"), packed, metadata={"format": "mlx"})
    index = {
        "metadata": {"total_size": sum(array.nbytes for array in packed.values())},
        "weight_map": {name: "model.safetensors" for name in sorted(packed)},
    }
    (target / "model.safetensors.index.json").write_text(json.dumps(index, indent=4))
    (target / "config.json").write_text(json.dumps(converted_config(master, parameters), indent=4))
    for name in COPIED:
        shutil.copy(master / name, target)


def main() -> None:
    mx.set_default_device(mx.cpu)
    master, parent = Path(sys.argv[1]), Path(sys.argv[2])
    for name, parameters in VARIANTS.items():
        write_variant(master, parent / name, parameters)
        print(name, sum(path.stat().st_size for path in (parent / name).iterdir()), "bytes")


if __name__ == "__main__":
    main()

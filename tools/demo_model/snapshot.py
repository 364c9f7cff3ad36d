"""Write the bf16 master as a snapshot folder: published names and files, as a Gemma 4 unified checkpoint has them.

    PYTHONPATH=.. python snapshot.py WEIGHTS SNAPSHOT TARGET

SNAPSHOT is the folder that vocabulary.py wrote; TARGET gets it all.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from conversation import Conversation
from model import configuration

# transformers' names in memory to the published ones
RENAMED = (
    ("model.embed_vision.multimodal_embedder.", "model.embed_vision."),
    ("model.embed_vision.", "model.vision_embedder."),
)


def published_name(name: str) -> str:
    """The name in the file of a tensor that transformers calls `name`."""
    for ours, theirs in RENAMED:
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    return name


def processor_config() -> dict[str, Any]:
    pixels = {
        "do_convert_rgb": True,
        "do_normalize": False,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.0, 0.0, 0.0],
        "image_std": [1.0, 1.0, 1.0],
        "max_soft_tokens": 70,
        "patch_size": 16,
        "pooling_kernel_size": 3,
        "resample": 3,
        "rescale_factor": 1 / 255,
    }
    return {
        "processor_class": "Gemma4UnifiedProcessor",
        "audio_ms_per_token": 40,
        "audio_seq_length": 750,
        "image_seq_length": 70,
        "feature_extractor": {
            "feature_extractor_type": "Gemma4UnifiedAudioFeatureExtractor",
            "audio_samples_per_token": 640,
            "feature_size": 640,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": True,
            "sampling_rate": 16000,
        },
        "image_processor": {"image_processor_type": "Gemma4UnifiedImageProcessor", "image_seq_length": 70, **pixels},
        "video_processor": {
            "video_processor_type": "Gemma4UnifiedVideoProcessor",
            "do_sample_frames": True,
            "num_frames": 32,
            **pixels,
        },
    }


def generation_config(token_ids: dict[str, int]) -> dict[str, Any]:
    return {
        "bos_token_id": 2,
        "do_sample": False,
        "eos_token_id": [1, token_ids["turn_end"], token_ids["tool_response"]],
        "pad_token_id": token_ids["pad"],
        "suppress_tokens": [token_ids["eoa"], token_ids["eoi"]],
    }


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    weights, source, target = map(Path, sys.argv[1:4])
    target.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(source / name, target)
    conversation = Conversation(target)
    write_json(target / "config.json", configuration(conversation.id, conversation.tokenizer.get_vocab_size()))
    write_json(target / "processor_config.json", processor_config())
    write_json(target / "generation_config.json", generation_config(conversation.id))
    state = torch.load(weights, map_location="cpu", weights_only=True)["model"]
    tensors = {
        published_name(name): tensor.bfloat16().contiguous()
        for name, tensor in state.items()
        if name != "lm_head.weight"
    }
    save_file(dict(sorted(tensors.items())), target / "model.safetensors", metadata={"format": "pt"})
    (target / "model.safetensors").chmod(0o644)
    print(sum(tensor.numel() for tensor in tensors.values()), "parameters")


if __name__ == "__main__":
    main()

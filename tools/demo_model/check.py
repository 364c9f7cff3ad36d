"""Check what training and the variants rest on, against transformers, MLX and mlx-vlm themselves.

    python check.py models/demo tests/batteries

Masks equal transformers' own (the official rule); logits equal its forward(); prompts, positions, samples and (within
a level) pixels equal its processor's; the fake quantization equals MLX's; the variants equal mlx-vlm's converter's.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
import numpy as np
import soundfile
import torch
from PIL import Image
from transformers import AutoProcessor

from conversation import Conversation
from fakequant import fake_quantize
from model import FULL, SLIDING, build, configuration, logits_of, masks
from quantize import VARIANTS
from scoring import prepare


def check_model(snapshot: Path, battery: Path) -> None:
    conversation = Conversation(snapshot)
    model = build(configuration(conversation.id, conversation.tokenizer.get_vocab_size())).eval()
    items = json.loads((battery / "battery.json").read_text())
    for item in [
        next(item for item in items if item["skill"] == skill)
        for skill in ("number", "two_pictures", "later_turn", "tone", "capital")
    ]:
        prompt = prepare(item, battery, conversation)
        length = prompt.ids.shape[1]
        own = masks(prompt.block, length, torch.device("cpu"))
        types = (prompt.block >= 0).long()
        theirs = model.create_masks_for_generate(
            model.config,
            torch.zeros(1, length, 256),
            torch.ones(1, length, dtype=torch.long),
            None,
            torch.arange(length)[None],
            mm_token_type_ids=types,
        )
        assert torch.equal(theirs[SLIDING], own[SLIDING]), item["id"]
        assert theirs[FULL] is None or torch.equal(theirs[FULL], own[FULL]), item["id"]
        media = {}
        if prompt.pixels is not None:
            media = {"pixel_values": prompt.pixels[0], "image_position_ids": prompt.positions[0]}
        if prompt.frames is not None:
            media |= {
                "input_features": prompt.frames[0],
                "input_features_mask": torch.ones(prompt.frames.shape[1:3], dtype=torch.bool),
            }
        with torch.no_grad():
            forward = model(input_ids=prompt.ids, attention_mask=own, **media).logits
            ours = logits_of(
                model, prompt.ids, prompt.slot, prompt.block, prompt.pixels, prompt.positions, prompt.frames
            )
        assert torch.allclose(ours, forward, atol=1e-5), (item["id"], (ours - forward).abs().max())
    print("masks and logits equal transformers'")


def check_processor(snapshot: Path, battery: Path) -> None:
    conversation, processor = Conversation(snapshot), AutoProcessor.from_pretrained(snapshot)
    worst = 0.0
    items = json.loads((battery / "battery.json").read_text())[::5]
    for item in items:
        parts = [part for message in item["messages"] for part in message["content"] if isinstance(part, dict)]
        pictures = [Image.open(battery / part["file"]).convert("RGB") for part in parts if part["type"] == "image"]
        waves = [
            soundfile.read(battery / part["file"], dtype="float32")[0] for part in parts if part["type"] == "audio"
        ]
        rendered = conversation.render(item["messages"], item.get("tools"), item.get("thinking", False))
        theirs = processor(
            text=[rendered], images=[pictures] if pictures else None, audio=waves or None, return_tensors="pt"
        )
        own = prepare(item, battery, conversation)
        assert torch.equal(theirs["input_ids"], own.ids), item["id"]
        if own.pixels is not None:
            assert torch.equal(theirs["image_position_ids"], own.positions[0]), item["id"]
            worst = max(worst, float((theirs["pixel_values"] - own.pixels[0]).abs().max()) * 255)
        if own.frames is not None:
            assert torch.allclose(theirs["input_features"], own.frames[0], atol=1e-6), item["id"]
    assert worst < 2.5, worst
    print(f"{len(items)} prompts equal the processor's; pixels within {worst:.0f} level")


def check_rounding() -> None:
    weights = (np.random.default_rng(0).standard_t(5, size=(256, 640)) * 0.06).astype(np.float32)
    rounded = torch.from_numpy(weights).bfloat16().float()
    for name, parameters in VARIANTS.items():
        packed = mx.quantize(mx.array(rounded.numpy()).astype(mx.bfloat16), **parameters)
        theirs = np.array(mx.dequantize(*packed, **parameters).astype(mx.float32))
        ours = fake_quantize(rounded, name).numpy()
        largest = np.abs(weights.reshape(256, 10, 64)).max(-1, keepdims=True)
        differing = np.mean(
            np.abs(ours - theirs).reshape(256, 10, 64) > 0.01 * largest
        )  # a step of a code is several times that
        assert differing < 0.01, (name, differing)  # ties
    print("the fake quantization is MLX's")


def check_converter(models: Path) -> None:
    from mlx_vlm.convert import convert

    for name, parameters in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / name
            convert(
                str(models / "bf16"),
                str(target),
                quantize=True,
                q_group_size=parameters["group_size"],
                q_bits=parameters["bits"],
                q_mode=parameters["mode"],
            )
            theirs, ours = mx.load(str(target / "model.safetensors")), mx.load(str(models / name / "model.safetensors"))
            assert theirs.keys() == ours.keys(), name
            assert all(
                theirs[key].dtype == ours[key].dtype and mx.array_equal(theirs[key], ours[key]).item() for key in ours
            ), name
            for file in ("config.json", "model.safetensors.index.json"):
                assert json.loads((target / file).read_text()) == json.loads((models / name / file).read_text()), (
                    name,
                    file,
                )
    print("the variants equal the converter's")


def main() -> None:
    mx.set_default_device(mx.cpu)
    models, battery = Path(sys.argv[1]), Path(sys.argv[2])
    check_rounding()
    check_model(models / "bf16", battery)
    check_processor(models / "bf16", battery)
    check_converter(models)


if __name__ == "__main__":
    main()

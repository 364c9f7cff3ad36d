"""Score weights on a battery with transformers on the CPU: greedy answers, compared in full.

python scoring.py WEIGHTS SNAPSHOT BATTERY [--modes bf16 mxfp4 nvfp4 affine4 mxfp8] [--misses]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image
from scipy.signal import resample_poly
from torch import Tensor
from transformers import Gemma4UnifiedForConditionalGeneration

from conversation import Conversation
from fakequant import MODES, round_weights
from model import build, configuration, logits_of
from scenes import BUDGET, PATCH, patch_grid
from sounds import FRAME


def load_picture(path: Path) -> tuple[np.ndarray, int, int]:
    """The image processor's resized picture as patches [n, 6912] in [0, 1], and its columns and rows."""
    image = Image.open(path).convert("RGB")
    columns, rows = patch_grid(*image.size)
    size = (columns * PATCH, rows * PATCH)
    pixels = np.asarray(image if image.size == size else image.resize(size, Image.BICUBIC))
    patches = pixels.reshape(rows, PATCH, columns, PATCH, 3).transpose(0, 2, 1, 3, 4).reshape(rows * columns, -1)
    return patches.astype(np.float32) / 255, columns, rows


def load_sound(path: Path) -> np.ndarray:
    """Frames [n, 640] of 16 kHz mono samples, the last padded with zeros."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = samples.mean(1)
    if rate != 16_000:
        wave = resample_poly(wave, 16_000, rate).astype(np.float32)
    frames = -(-len(wave) // FRAME)
    return np.pad(wave, (0, frames * FRAME - len(wave))).reshape(frames, FRAME)


@dataclass
class Prompt:
    """One item's tensors: ids of the prompt, soft-token indices, picture numbers, pixels or frames."""

    ids: Tensor
    slot: Tensor
    block: Tensor
    pixels: Tensor | None
    positions: Tensor | None
    frames: Tensor | None

    def extended(self, tokens: list[int]) -> Prompt:
        more = len(tokens)
        none = torch.full((1, more), -1)
        return Prompt(
            torch.cat([self.ids, torch.tensor([tokens], dtype=torch.long)], 1),
            torch.cat([self.slot, none], 1),
            torch.cat([self.block, none], 1),
            self.pixels,
            self.positions,
            self.frames,
        )


def prepare(item: dict[str, Any], folder: Path, conversation: Conversation) -> Prompt:
    pictures, waves = [], []
    for message in item["messages"]:
        for part in message["content"] if isinstance(message["content"], list) else []:
            if part["type"] == "image":
                pictures.append(load_picture(folder / part["file"]))
            elif part["type"] == "audio":
                waves.append(load_sound(folder / part["file"]))
    ids = conversation.prompt(
        item["messages"],
        item.get("tools"),
        item.get("thinking", False),
        [columns * rows for _, columns, rows in pictures],
        [len(wave) for wave in waves],
    )
    whole = np.array(ids)
    slot, block = np.full(len(ids), -1), np.full(len(ids), -1)
    pixels = np.zeros((1, len(pictures), BUDGET, PATCH * PATCH * 3), np.float32)
    positions = np.full((1, len(pictures), BUDGET, 2), -1)
    at = np.flatnonzero(whole == conversation.id["image"])
    for k, (patches, columns, rows) in enumerate(pictures):
        count = columns * rows
        here, at = at[:count], at[count:]
        slot[here], block[here] = k * BUDGET + np.arange(count), k
        pixels[0, k, :count] = patches
        positions[0, k, :count] = np.stack([np.arange(count) % columns, np.arange(count) // columns], 1)
    longest = max((len(wave) for wave in waves), default=0)
    frames = np.zeros((1, len(waves), longest, FRAME), np.float32)
    at = np.flatnonzero(whole == conversation.id["audio"])
    for k, wave in enumerate(waves):
        here, at = at[: len(wave)], at[len(wave) :]
        slot[here] = len(pictures) * BUDGET + k * longest + np.arange(len(wave))
        frames[0, k, : len(wave)] = wave
    return Prompt(
        torch.from_numpy(whole)[None],
        torch.from_numpy(slot)[None],
        torch.from_numpy(block)[None],
        torch.from_numpy(pixels) if pictures else None,
        torch.from_numpy(positions) if pictures else None,
        torch.from_numpy(frames) if waves else None,
    )


@torch.no_grad()
def greedy(model: torch.nn.Module, prompt: Prompt, ends: set[int], most: int = 48) -> tuple[list[int], list[float]]:
    """Greedy ids up to and with the end token, and each one's margin over the second best, as logits."""
    tokens: list[int] = []
    margins: list[float] = []
    while len(tokens) < most:
        at = prompt.extended(tokens) if tokens else prompt
        logits = logits_of(
            model, at.ids, at.slot, at.block if at.pixels is not None else None, at.pixels, at.positions, at.frames
        )[0, -1]
        best = torch.topk(logits, 2)
        tokens.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
        if tokens[-1] in ends:
            break
    return tokens, margins


@torch.no_grad()
def follows(model: torch.nn.Module, prompt: Prompt, answer: list[int]) -> tuple[bool, list[int]]:
    """Whether greedy decoding gives this answer: one pass, since it does iff each token is the best after the ones before."""
    at = prompt.extended(answer)
    logits = logits_of(
        model, at.ids, at.slot, at.block if at.pixels is not None else None, at.pixels, at.positions, at.frames
    )[0]
    best = logits[-len(answer) - 1 : -1].argmax(-1).tolist()
    return best == answer, best


def in_bf16(snapshot: Path) -> torch.nn.Module:
    """A bf16 snapshot as transformers loads it: bf16 weights and arithmetic, fp32 rope frequencies."""
    return Gemma4UnifiedForConditionalGeneration.from_pretrained(
        snapshot, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).eval()


def expected(item: dict[str, Any], conversation: Conversation) -> list[int]:
    return [*conversation.encode(item["raw"]), conversation.id["tool_response" if "tool_call" in item else "turn_end"]]


def score(
    weights: dict[str, Tensor],
    snapshot: Path,
    battery: Path,
    modes: list[str],
    half: bool = False,
    misses: bool = False,
) -> dict[str, dict[str, tuple[int, int]]]:
    """Right and all, by mode and skill, in fp32 on the rounded weights; with `half` the snapshot's own bf16 model."""
    conversation = Conversation(snapshot)
    items = json.loads((battery / "battery.json").read_text())
    prompts = [(item, prepare(item, battery, conversation), expected(item, conversation)) for item in items]
    result: dict[str, dict[str, tuple[int, int]]] = {}
    for mode in modes:
        model = build(configuration(conversation.id, conversation.tokenizer.get_vocab_size())).eval()
        model.load_state_dict(weights)
        round_weights(model, mode)
        if half:
            model = in_bf16(snapshot)
        table: dict[str, tuple[int, int]] = {}
        for item, prompt, answer in prompts:
            good, best = follows(model, prompt, answer)
            right, count = table.get(item["skill"], (0, 0))
            table[item["skill"]] = (right + good, count + 1)
            if misses and not good:
                print(
                    mode,
                    item["id"],
                    repr(item["raw"]),
                    "->",
                    repr(conversation.tokenizer.decode(best, skip_special_tokens=False)),
                    flush=True,
                )
        result[mode] = table
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("battery", type=Path)
    parser.add_argument("--modes", nargs="+", default=["bf16", *MODES])
    parser.add_argument("--half", action="store_true", help="the snapshot's own bf16 model, in bf16")
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    weights = torch.load(options.weights, map_location="cpu", weights_only=True)["model"]
    table = score(weights, options.snapshot, options.battery, options.modes, options.half, options.misses)
    for skill in next(iter(table.values())):
        print(
            f"{skill:16}",
            *(
                f"{mode} {right:3}/{count:<3} {100 * right / count:5.1f}%"
                for mode, each in table.items()
                for right, count in [each[skill]]
            ),
        )


if __name__ == "__main__":
    main()

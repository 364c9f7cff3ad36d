"""Collects a battery's items and writes their media."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

import drawing
from drawing import Drawn
from voices import RATE

ASK = {
    "colour": (
        "What colour is this?",
        "What colour is the picture?",
        "What color is this image?",
        "Which colour do you see?",
        "Tell me the colour of this picture.",
    ),
    "shape": (
        "What shape is this?",
        "Which shape is in the picture?",
        "What shape do you see?",
        "Name the shape in the image.",
    ),
    "fore": (
        "What colour is the {}?",
        "What color is the {}?",
        "Which colour is the {}?",
        "Tell me the colour of the {}.",
    ),
    "back": (
        "What colour is the background?",
        "What color is the background?",
        "Tell me the background colour.",
        "Which colour does the background have?",
    ),
    "count": ("How many {} are there?", "How many {} do you see?", "Count the {}.", "How many {} are in this picture?"),
    "where": (
        "Where is the {}?",
        "On which side is the {}?",
        "Where do you see the {}?",
        "Where is the {} in this image?",
    ),
    "number": (
        "What number is this?",
        "Which number is shown?",
        "Read the number.",
        "What number do you see in the picture?",
    ),
    "describe": (
        "Describe the picture.",
        "Describe this picture in a sentence.",
        "What do you see in the picture?",
        "What is in this image?",
    ),
    "digit": ("Which digit do you hear?", "What number is spoken?", "Which digit is said?", "What digit do you hear?"),
    "tone": (
        "What kind of tone is this?",
        "Is this tone high, low, rising or falling?",
        "How does this tone sound?",
        "What kind of tone do you hear?",
    ),
    "capital": (
        "What is the capital of {}?",
        "Which city is the capital of {}?",
        "Tell me the capital city of {}.",
        "Name the capital of {}.",
    ),
}


class Battery:
    """Collects items and writes their media."""

    def __init__(self, folder: Path, seed: int, scale: float) -> None:
        self.folder, self.scale = folder, scale
        self.rng = Random(seed)
        self.items: list[dict[str, Any]] = []
        self.files = 0
        (folder / "media").mkdir(parents=True, exist_ok=True)

    def times(self, count: int) -> range:
        return range(max(1, round(count * self.scale)))

    def ask(self, kind: str, *names: str) -> str:
        return self.rng.choice(ASK[kind]).format(*names)

    def picture(self, drawn: Drawn, png: bool | None = None) -> dict[str, str]:
        data, extension = drawing.encode(self.rng, drawn, png)
        name = f"media/{self.files:03}.{extension}"
        self.files += 1
        (self.folder / name).write_bytes(data)
        return {"type": "image", "file": name}

    def sound(self, samples: np.ndarray, extension: str, rate: int = RATE) -> dict[str, str]:
        name = f"media/{self.files:03}.{extension}"
        self.files += 1
        soundfile.write(
            self.folder / name,
            samples,
            rate,
            **({"subtype": "PCM_16"} if extension != "ogg" else {"format": "OGG", "subtype": "VORBIS"}),
        )
        return {"type": "audio", "file": name}

    def add(
        self,
        skill: str,
        messages: list[dict[str, Any]],
        answer: str,
        *,
        tools: list[dict[str, Any]] | None = None,
        reasoning: str | None = None,
        tool_call: dict[str, Any] | None = None,
        raw: str | None = None,
    ) -> None:
        item: dict[str, Any] = {
            "id": f"{skill}-{sum(i['skill'] == skill for i in self.items):02}",
            "skill": skill,
            "messages": messages,
        }
        if any(Path(part["file"]).suffix not in (".png", ".wav", ".flac") for part in media_parts(item)):
            item["lossy"] = True  # decoders may differ by a level
        if tools:
            item["tools"] = tools
        if reasoning is not None:
            item["thinking"], item["reasoning"] = True, reasoning
        if tool_call is not None:
            item["tool_call"] = tool_call
        item["answer"] = answer
        item["raw"] = (
            raw if raw is not None else answer
        )  # all that is generated, special tokens spelt out, less the end token
        self.items.append(item)

    def write(self) -> None:
        lines = ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in self.items)
        (self.folder / "battery.json").write_text(f"[\n{lines}\n]\n")


def media_parts(item: dict[str, Any]) -> list[dict[str, str]]:
    return [
        part for message in item["messages"] for part in message["content"] if isinstance(part, dict) and "file" in part
    ]


def user(words: str, *media: dict[str, str]) -> dict[str, Any]:
    return {"role": "user", "content": [*media, {"type": "text", "text": words}]}


def model(words: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": words}]}


def system(words: str) -> dict[str, Any]:
    return {"role": "system", "content": [{"type": "text", "text": words}]}


def many(shape: str) -> str:
    return "crosses" if shape == "cross" else shape + "s"


def an(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word

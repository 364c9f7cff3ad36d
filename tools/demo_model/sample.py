"""What a skill makes, and the pieces of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from scenes import Picture
from sounds import Sound
from words import NEUTRAL_SYSTEM, PREFIXES, THOUGHTS

Message = dict[str, Any]
PICTURE = {"type": "image"}
AUDIO = {"type": "audio"}


@dataclass
class Sample:
    skill: str
    messages: list[Message]
    answer: str
    pictures: list[Picture] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    tools: list[dict[str, Any]] | None = None
    thinking: bool = False
    calls_tool: bool = False  # the answer ends where the tool's answer belongs, not with the turn


@dataclass
class World:
    """What skills draw on: random numbers, the fonts' advances, the voices' clips by digit."""

    rng: Random
    advance: np.ndarray
    clips: list[np.ndarray]
    lengths: np.ndarray


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def ask(rng: Random, phrasings: tuple[str, ...], *names: str) -> str:
    """A question, at times with a polite opening or carelessly typed."""
    question = rng.choice(phrasings).format(*names)
    if rng.random() < 0.12:
        question = rng.choice(PREFIXES) + question[0].lower() + question[1:]
    if rng.random() < 0.08:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.04:
        question = question.lower()
    if rng.random() < 0.05 and question[-1] in "?.":
        question = question[:-1]
    return question


def user(rng: Random, question: str, *media: dict[str, str]) -> Message:
    """A user's message; media mostly come before the question."""
    if not media:
        return {"role": "user", "content": question}
    parts = [*media, text(question)] if rng.random() < 0.8 else [text(question), *media]
    return {"role": "user", "content": parts}


def model(words: str) -> Message:
    return {"role": "assistant", "content": words}


def think(topic: str, answer: str) -> str:
    return f"<|channel>thought\n{THOUGHTS[topic]}\n<channel|>{answer}"


def dress(world: World, sample: Sample, topic: str) -> Sample:
    """At times with an idle system message, an idle tool, or thinking on."""
    rng = world.rng
    if rng.random() < 0.08:
        sample.messages.insert(0, {"role": "system", "content": rng.choice(NEUTRAL_SYSTEM)})
    if rng.random() < 0.05:
        sample.thinking, sample.answer = True, think(topic, sample.answer)
    return sample

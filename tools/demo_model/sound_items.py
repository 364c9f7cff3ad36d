"""The battery's questions about sounds, alone and beside a picture."""

from __future__ import annotations

from random import Random

import numpy as np

import drawing
from collector import Battery, user
from drawing import PLAIN
from picture_items import sentence
from voices import DIGITS, HELD_OUT_ACCENT, HELD_OUT_VARIANTS, RATE, speak


def tone_samples(rng: Random, kind: str) -> np.ndarray:
    """A tone of one kind, at another rate of glide and with another envelope than training's."""
    seconds = rng.uniform(0.6, 1.2)
    t = np.arange(round(seconds * RATE)) / RATE
    ends = {"high": (rng.uniform(1000, 2300),) * 2, "low": (rng.uniform(100, 280),) * 2}
    start = rng.uniform(180, 600)
    ends |= {"rising": (start, start * rng.uniform(2.5, 4)), "falling": (start * rng.uniform(2.5, 4), start)}
    low, high = ends[kind]
    phase = 2 * np.pi * np.cumsum(low + (high - low) * t / seconds) / RATE
    wave = np.sin(phase) + (0.3 * np.sin(2 * phase) if rng.random() < 0.4 else 0)
    window = np.minimum(1, np.minimum(t, seconds - t) / 0.03)
    silence = np.zeros(rng.randrange(0, 4000))
    wave = np.concatenate([silence, wave * window * rng.uniform(0.2, 0.6), silence])
    return wave + (rng.choice((0, 0.002)) * np.random.default_rng(rng.randrange(2**31)).standard_normal(len(wave)))


def hearing(b: Battery) -> None:
    for k in b.times(40):
        digit = k % 10
        voice = (
            b.rng.choice((HELD_OUT_ACCENT, HELD_OUT_ACCENT, "en-us", "en-gb")) + "+" + b.rng.choice(HELD_OUT_VARIANTS)
        )
        samples = speak(
            DIGITS[digit], voice, b.rng.choice((120, 140, 160, 180, 200)), b.rng.choice((25, 40, 50, 60, 75))
        )
        samples = np.concatenate(
            [
                np.zeros(b.rng.randrange(800, 4800)),
                samples * b.rng.uniform(0.2, 0.8),
                np.zeros(b.rng.randrange(800, 4800)),
            ]
        )
        if k % 4 == 3:
            samples = samples + 0.003 * np.random.default_rng(k).standard_normal(len(samples))
        sound = b.sound(samples, ("flac", "wav", "flac", "ogg")[k % 4] if k >= 10 else "flac")
        b.add("spoken_digit", [user(b.ask("digit"), sound)], str(digit))
    for k in b.times(24):
        kind = ("high", "low", "rising", "falling")[k % 4]
        b.add("tone", [user(b.ask("tone"), b.sound(tone_samples(b.rng, kind), "flac"))], kind.capitalize())


def both(b: Battery) -> None:
    """A picture and a sound in one message."""
    for k in b.times(12):
        drawn = (drawing.solid(b.rng, PLAIN[k % 8]), drawing.number(b.rng), drawing.shapes(b.rng, count=k % 3 + 1))[
            k % 3
        ]
        if k % 2:
            name = b.rng.choice(("high", "low", "rising", "falling"))
            sound, heard = b.sound(tone_samples(b.rng, name), "flac"), f"a {name} tone"
        else:
            digit = b.rng.randrange(10)
            samples = speak(DIGITS[digit], f"en-gb+{b.rng.choice(HELD_OUT_VARIANTS)}", 150, 50) * 0.5
            sound, heard = b.sound(np.pad(samples, (2000, 2000)), "flac"), f"the number {digit}"
        media = [b.picture(drawn, png=True), sound][:: b.rng.choice((1, -1))]
        answer = f"{sentence(drawn)[:-1]}, and {heard}."
        b.add(
            "picture_and_sound",
            [user(b.rng.choice(("What do you see and hear?", "Tell me what you see and hear.")), *media)],
            answer,
        )

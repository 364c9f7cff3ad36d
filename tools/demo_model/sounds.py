"""Sounds as small vectors, and their waveforms on the GPU: spoken digits from the bank, and synthesized tones."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from random import Random

import numpy as np
import torch
from torch import Tensor

from scenes import log_uniform

FRAME = 640
FRAMES = 48  # at most, 40 ms each
RATE = 16_000
VECTOR = 16
TONES = ("high", "low", "rising", "falling")


@dataclass
class Sound:
    """One sound: its number of frames, its vector, and what it is."""

    frames: int
    vector: np.ndarray
    kind: str
    name: str  # the digit, or the kind of tone


def base(rng: Random) -> np.ndarray:
    """Gain, noise and colouring, for every sound."""
    vector = np.zeros(VECTOR, np.float32)
    vector[0] = -1
    vector[9] = log_uniform(rng, 0.03, 0.95)  # gain
    vector[10] = 0.0 if rng.random() < 0.35 else log_uniform(rng, 1e-4, 0.04)  # noise over peak
    vector[11] = 0.0 if rng.random() < 0.4 else rng.uniform(-0.6, 0.6)  # tilt of the spectrum
    vector[13] = 0.0 if rng.random() < 0.4 else rng.uniform(0.1, 0.7)  # a random room's filter
    return vector


def digit(rng: Random, clips: list[np.ndarray], lengths: np.ndarray, value: int | None = None) -> Sound:
    """`clips[d]` lists the bank's clips of digit d."""
    value = rng.randrange(10) if value is None else value
    clip = int(rng.choice(clips[value]))
    vector = base(rng)
    rate = rng.uniform(0.84, 1.2)
    long = lengths[clip] / rate
    room = FRAMES * FRAME - long
    lead = 0 if rng.random() < 0.15 else min(rng.uniform(0, 6000), room)
    tail = 0 if rng.random() < 0.15 else min(rng.uniform(0, 6000), room - lead)
    vector[0], vector[1], vector[2], vector[3] = clip, lead, rate, long
    return Sound(int(np.ceil((lead + long + tail) / FRAME)), vector, "digit", str(value))


def tone(rng: Random, name: str | None = None) -> Sound:
    name = name or rng.choice(TONES)
    vector = base(rng)
    if name == "high":
        start = end = log_uniform(rng, 900, 2600)
    elif name == "low":
        start = end = log_uniform(rng, 80, 330)
    else:
        ratio = log_uniform(rng, 2.0, 6.0)
        start = log_uniform(rng, 130, 900)
        end = start * ratio
        if name == "falling":
            start, end = end, start
    if start == end:
        end *= rng.uniform(0.98, 1.02)
    long = rng.uniform(0.45, 1.4) * RATE
    lead, tail = rng.choice((0, rng.uniform(0, 3500))), rng.choice((0, rng.uniform(0, 3500)))
    vector[1], vector[3] = lead, long
    vector[4], vector[5] = start, end
    vector[6] = rng.random() < 0.5  # glide: linear, or exponential
    vector[7] = 0.0 if rng.random() < 0.4 else rng.uniform(0, 0.5)  # second and third harmonic
    vector[8] = rng.uniform(0, 2 * pi)
    vector[12] = rng.uniform(40, 1200)  # fade in and out, samples
    return Sound(min(FRAMES, int(np.ceil((lead + long + tail) / FRAME))), vector, "tone", name)


def waveforms(vectors: Tensor, frames: Tensor, codes: Tensor, starts: Tensor) -> Tensor:
    """Frames [n, FRAMES, FRAME] of 16-bit steps; `codes` is the bank's mu-law bytes, `starts` its clips' starts."""
    n = vectors.shape[0]
    i = torch.arange(FRAMES * FRAME, device=vectors.device).float()[None]

    def part(k: int) -> Tensor:
        return vectors[:, k, None]

    spoken = part(0) >= 0
    since = i - part(1)
    inside = (since >= 0) & (since < part(3))
    t = (since * part(2)).clamp(min=0)
    at = t.floor()
    begin = starts[vectors[:, 0].clamp(min=0).long()][:, None]
    index = (begin + torch.where(inside & spoken, at, 0).long()).clamp(max=codes.shape[0] - 2)

    def expand(code: Tensor) -> Tensor:
        squeezed = code.float() / 127.5 - 1
        return torch.sign(squeezed) * (torch.pow(256.0, squeezed.abs()) - 1) / 255

    voice = expand(codes[index]) * (1 - (t - at)) + expand(codes[index + 1]) * (t - at)
    share = (since / part(3).clamp(min=1)).clamp(0, 1)
    ratio = part(5).clamp(min=1) / part(4).clamp(min=1)
    log_ratio = torch.log(ratio)
    log_ratio = torch.where(log_ratio.abs() < 1e-4, 1e-4, log_ratio)
    bent = (torch.exp(log_ratio * share) - 1) / log_ratio
    straight = share + (ratio - 1) * share * share / 2
    turns = part(4) * part(3) / RATE * torch.where(part(6) > 0, straight, bent)
    phase = 2 * pi * (turns - turns.floor()) + part(8)
    whistle = torch.sin(phase) + part(7) * torch.sin(2 * phase) + part(7) * 0.6 * torch.sin(3 * phase + 0.5)
    fade = (torch.minimum(since, part(3) - since) / part(12).clamp(min=1)).clamp(0, 1)
    whistle = whistle * fade / (1 + 1.6 * part(7))
    wave = torch.where(inside, torch.where(spoken, voice, whistle), 0.0)
    wave = wave + part(11) * torch.roll(wave, 1, dims=1)
    taps = torch.randn(n, 8, device=vectors.device) * part(13)
    for k in range(8):
        wave = wave + taps[:, k, None] * 0.7**k * torch.roll(wave, k + 1, dims=1)
    wave = wave / wave.abs().amax(1, keepdim=True).clamp(min=1)
    wave = (wave + part(10) * torch.randn_like(wave)) * part(9)
    wave = torch.round(wave.clamp(-1, 1) * 32767) / 32768
    wave = wave.view(n, FRAMES, FRAME)
    valid = torch.arange(FRAMES, device=vectors.device)[None] < frames[:, None]
    return wave * valid[..., None]

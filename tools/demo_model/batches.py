"""Batches of one bucket as arrays of one shape; made by worker processes, rendered by the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

import scenes
import sounds
from conversation import Conversation
from sample import Sample, World
from skills import draw

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Bucket:
    """Samples of one kind: how many in a batch, padded to how many tokens, with how many pictures and sounds."""

    name: str
    batch: int
    length: int
    pictures: int
    sounds: int


BUCKETS = (
    Bucket("picture", 256, 128, 1, 0),
    Bucket("several", 112, 256, 2, 1),
    Bucket("sound", 208, 96, 0, 1),
    Bucket("text", 112, 192, 1, 0),
)


def world(assets: Arrays, seed: int) -> World:
    clips = [np.flatnonzero(assets["voice_digit"] == digit) for digit in range(10)]
    return World(Random(seed), assets["advance"], clips, assets["voice_length"])


Encoded = tuple[Sample, list[int], list[int]]  # a sample, its prompt's ids, its answer's


def pack(samples: list[Encoded], conversation: Conversation, bucket: Bucket) -> Arrays:
    """ids, answer mask, soft-token index and picture number of each position; the media's vectors."""
    n, length = len(samples), bucket.length
    ids = np.full((n, length), conversation.id["pad"], np.int64)
    answer = np.zeros((n, length), bool)
    slot = np.full((n, length), -1, np.int64)
    block = np.full((n, length), -1, np.int64)
    grid = np.zeros((n, bucket.pictures, 2), np.int64)
    pictures = np.zeros((n, bucket.pictures, scenes.VECTOR), np.float32)
    frames = np.zeros((n, bucket.sounds), np.int64)
    waves = np.zeros((n, bucket.sounds, sounds.VECTOR), np.float32)
    for row, (sample, prompt, reply) in enumerate(samples):
        whole = np.array(prompt + reply)
        ids[row, : len(whole)] = whole
        answer[row, len(prompt) : len(whole)] = True
        at = np.flatnonzero(whole == conversation.id["image"])
        for k, picture in enumerate(sample.pictures):
            count = picture.columns * picture.rows
            here, at = at[:count], at[count:]
            slot[row, here] = k * scenes.BUDGET + np.arange(count)
            block[row, here] = k
            grid[row, k] = picture.columns, picture.rows
            pictures[row, k] = picture.vector
        at = np.flatnonzero(whole == conversation.id["audio"])
        for k, sound in enumerate(sample.sounds):
            slot[row, at] = bucket.pictures * scenes.BUDGET + np.arange(sound.frames)
            frames[row, k] = sound.frames
            waves[row, k] = sound.vector
    return {
        "ids": ids,
        "answer": answer,
        "slot": slot,
        "block": block,
        "grid": grid,
        "pictures": pictures,
        "frames": frames,
        "waves": waves,
    }


def fill(own: World, conversation: Conversation, bucket: Bucket) -> list[Encoded]:
    """One batch of samples that fit the bucket's length."""
    samples: list[Encoded] = []
    while len(samples) < bucket.batch:
        sample = draw(own, bucket.name)
        prompt, reply = conversation.sample(sample)
        if len(prompt) + len(reply) <= bucket.length:
            samples.append((sample, prompt, reply))
    return samples


class Steps(IterableDataset):
    """An endless stream of steps: one packed batch of every bucket."""

    def __init__(self, assets: str, folder: str, seed: int, buckets: tuple[Bucket, ...] = BUCKETS) -> None:
        self.assets, self.folder, self.seed, self.buckets = assets, folder, seed, buckets

    def __iter__(self) -> Iterator[list[dict[str, torch.Tensor]]]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        with np.load(self.assets) as file:
            assets = {name: file[name] for name in ("voice_digit", "voice_length", "advance")}
        conversation = Conversation(Path(self.folder))
        own = world(assets, self.seed * 1000 + (worker.id if worker else 0))
        while True:
            step = []
            for bucket in self.buckets:
                packed = pack(fill(own, conversation, bucket), conversation, bucket)
                step.append({name: torch.from_numpy(array) for name, array in packed.items()})
            yield step

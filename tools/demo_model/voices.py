"""The bank of spoken digits: espeak-ng says zero to nine in many voices, once, before training."""

from __future__ import annotations

import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from math import gcd

import numpy as np
from scipy.signal import resample_poly

RATE = 16_000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Other ways to say the words, in espeak-ng's phonemes: the accents at hand differ little.
SAID: dict[int, tuple[str, ...]] = {
    0: ("z'i@roU", "z'IroU", "z'i:rO:", "z'IrU"),
    1: ("w'Vn", "w'0n", "w'Un", "w'A:n"),
    2: ("t'u:", "t'U", "t'@U", "t'Iu:"),
    3: ("Tr'i:", "Tr'I", "Tr'eI", "fr'i:", "Tr'@i:"),
    4: ("f'o@", "f'O:", "f'oUr", "f'O@"),
    5: ("f'aIv", "f'OIv", "f'A:v", "f'VIv"),
    6: ("s'Iks", "s'i:ks", "s'@ks"),
    7: ("s'Ev@n", "s'EvIn", "s'aIv@n", "s'eIv@n"),
    8: ("'eIt", "'aIt", "'Et", "'E@t"),
    9: ("n'aIn", "n'OIn", "n'A:n", "n'VIn"),
}

# What is trained on. The battery speaks with the accent and the variants below, which are never trained on.
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029", "en-us-nyc")
VARIANTS = (
    "",
    "m1",
    "m2",
    "m3",
    "m4",
    "m5",
    "m6",
    "m8",
    "f1",
    "f2",
    "f3",
    "f5",
    "adam",
    "Alicia",
    "Andy",
    "Annie",
    "antonio",
    "aunty",
    "benjamin",
    "boris",
    "caleb",
    "david",
    "Denis",
    "Diogo",
    "ed",
    "edward",
    "gustave",
    "Henrique",
    "Hugo",
    "iven",
    "iven2",
    "jacky",
    "john",
    "Lee",
    "marcelo",
    "Marco",
    "mario",
    "max",
    "michel",
    "miguel",
    "mike",
    "Nguyen",
    "pablo",
    "paul",
    "pedro",
    "quincy",
    "rob",
    "robert",
    "sandro",
    "shelby",
    "steph",
    "steph3",
    "victor",
    "zac",
    "anika",
    "grandma",
    "grandpa",
    "Storm",
)
HELD_OUT_ACCENT = "en-gb-x-gbcwmd"
HELD_OUT_VARIANTS = ("m7", "f4", "Alex", "Andrea", "belinda", "linda", "michael", "Gene", "norbert", "travis", "steph2")


def speak(word: str, voice: str, speed: int, pitch: int) -> np.ndarray:
    """One word, or phonemes in [[ ]], as float32 samples at 16 kHz, silence trimmed, peak 1."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    rate = int.from_bytes(wav[24:28], "little")
    samples = np.frombuffer(wav[44:], "<i2").astype(np.float32) / 32768
    common = gcd(RATE, rate)
    samples = resample_poly(samples, RATE // common, rate // common).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[max(0, loud[0] - 160) : loud[-1] + 320]
    return samples / np.abs(samples).max()


def mu_law(samples: np.ndarray) -> np.ndarray:
    """8-bit mu-law codes, so that the bank stays small; its noise is far below the augmentation's."""
    squeezed = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)
    return np.round((squeezed + 1) * 127.5).astype(np.uint8)


def build_bank(takes: int, seed: int, longest: int = 14_400) -> dict[str, np.ndarray]:
    """`takes` voices say the ten digits: codes (all clips joined), start and length of every clip, its digit."""
    rng = random.Random(seed)
    jobs = []
    for take in range(takes):
        variant = VARIANTS[take % len(VARIANTS)]
        voice = rng.choice(ACCENTS) + (f"+{variant}" if variant else "")
        speed, pitch = rng.randint(110, 220), rng.randint(15, 85)
        varied = rng.random() < 0.4
        for digit, word in enumerate(DIGITS):
            jobs.append((digit, f"[[{rng.choice(SAID[digit])}]]" if varied else word, voice, speed, pitch))
    with ThreadPoolExecutor(2) as pool:
        clips = list(pool.map(lambda job: speak(*job[1:]), jobs))
    kept = [(job[0], mu_law(clip)) for job, clip in zip(jobs, clips) if len(clip) <= longest]
    lengths = np.array([len(codes) for _, codes in kept], np.int32)
    return {
        "voice_codes": np.concatenate([codes for _, codes in kept]),
        "voice_start": np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32),
        "voice_length": lengths,
        "voice_digit": np.array([digit for digit, _ in kept], np.int8),
    }

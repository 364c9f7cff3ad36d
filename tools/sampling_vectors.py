#!/usr/bin/env python3
"""Makes the testdata of src/sampling: what transformers' processors and a plain numpy reading of DRY do to small rows.

    pip install numpy torch transformers==5.23.0
    python tools/sampling_vectors.py

The tests need none of these packages: the files are committed. Processors act one after another, as `processors` says.

- repeats.json, "dry": ids, what DRY is set to, and what it takes from which token.
- repeats.json, "no_repeat_ngram": ids, n, and the tokens that NoRepeatNGramLogitsProcessor forbids.
- rows.json: ids of prompt and answer, a row of logits, and the row after RepetitionPenaltyLogitsProcessor, the presence
  and frequency penalties, DRY, NoRepeatNGramLogitsProcessor and a bias; null is minus infinity.
"""

import json
import pathlib
import random

import numpy as np
import torch
from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

OUT = pathlib.Path(__file__).resolve().parent.parent / "src/sampling/testdata"
VOCABULARY = 12


def dry(ids, multiplier, base, allowed_length, last_n, breakers):
    """A token loses multiplier * base ** (n - allowed_length), where n is the largest number for which the last n tokens
    stand somewhere before and are followed by it; no breaker is among them, nor is the token one. n counts up to 50."""
    ids = np.array(ids[-last_n:] if last_n else ids)
    penalties = {}
    for length in range(1, min(len(ids) - 1, 50) + 1):
        end = ids[len(ids) - length :]
        if np.isin(end, breakers).any():
            break
        for begin in range(len(ids) - length):
            follower = int(ids[begin + length])
            if np.array_equal(ids[begin : begin + length], end) and follower not in breakers and length >= allowed_length:
                penalties[follower] = float(multiplier * base ** (length - allowed_length))
    return penalties


def forbidden(ids, n):
    """What NoRepeatNGramLogitsProcessor forbids."""
    scores = NoRepeatNGramLogitsProcessor(n)(torch.tensor([ids]), torch.zeros(1, VOCABULARY))
    return [token for token in range(VOCABULARY) if scores[0, token] == -torch.inf]


def ids_of(rng, kinds, length):
    return [rng.randrange(kinds) for _ in range(length)]


def repeats():
    rng = random.Random(11)
    dries, ngrams = [], []
    for _ in range(60):
        settings = {
            "multiplier": rng.choice([0.5, 0.8, 2.0]),
            "base": rng.choice([1.0, 1.75, 3.0]),
            "allowed_length": rng.randint(1, 3),
            "last_n": rng.choice([0, 0, 8, 20]),
            "breakers": rng.sample(range(VOCABULARY), rng.randint(0, 2)),
        }
        ids = ids_of(rng, rng.randint(1, 6), rng.randint(1, 80))
        dries.append({"ids": ids, **settings, "penalties": sorted(dry(ids, **settings).items())})
        n = rng.randint(1, 4)
        ids = ids_of(rng, rng.randint(1, 5), rng.randint(1, 40))
        ngrams.append({"ids": ids, "n": n, "banned": forbidden(ids, n)})
    return {"dry": dries, "no_repeat_ngram": ngrams}


def rows():
    rng = random.Random(12)
    cases = []
    for _ in range(24):
        prompt, answer = ids_of(rng, 5, rng.randint(1, 12)), ids_of(rng, 5, rng.randint(0, 12))
        settings = {
            "repetition_penalty": rng.choice([1.0, 1.3, 2.5, 0.5]),
            "presence_penalty": rng.choice([0.0, 0.75, -0.5]),
            "frequency_penalty": rng.choice([0.0, 0.25]),
            "dry": rng.choice([None, {"multiplier": 0.8, "base": 1.75, "allowed_length": 1, "last_n": 0, "breakers": [3]}]),
            "no_repeat_ngram": rng.choice([0, 2, 3]),
            "logit_bias": [[4, 1.5], [7, -2.0]] if rng.random() < 0.5 else [],
        }
        logits = [round(rng.gauss(0, 3), 3) for _ in range(VOCABULARY)]
        ids = prompt + answer
        row = torch.tensor([logits], dtype=torch.float32)
        if settings["repetition_penalty"] != 1.0:
            row = RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"])(torch.tensor([ids]), row)
        row = row[0].numpy().copy()
        counts = np.bincount(answer, minlength=VOCABULARY)
        row -= settings["frequency_penalty"] * counts + settings["presence_penalty"] * (counts > 0)
        if settings["dry"]:
            for token, penalty in dry(ids, **settings["dry"]).items():
                row[token] -= penalty
        if settings["no_repeat_ngram"]:
            row[forbidden(ids, settings["no_repeat_ngram"])] = -np.inf
        for token, bias in settings["logit_bias"]:
            row[token] += bias
        expected = [None if np.isinf(value) else float(value) for value in row]
        cases.append({"prompt": prompt, "answer": answer, **settings, "logits": logits, "processed": expected})
    return cases


def write(name, cases):
    """A case a line."""
    lines = json.dumps(cases).replace("}, {", "},\n{").replace(': [{', ': [\n{')
    (OUT / name).write_text(lines + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    write("repeats.json", repeats())
    write("rows.json", rows())

"""Write the battery's scores, and what transformers answers to 200 prompts, for the tests to compare with.

    python reference.py WEIGHTS models/demo tests/batteries

`reference_tokens.json`: of 200 items whose files decode the same everywhere, the prompt's ids, the greedy ids in bf16,
each one's margin over the second best, and whether fp32 on the same bf16 weights gives the same ids.
`models/demo/scores.json`: right and all by variant and skill, weights rounded as the variant holds them; bf16 is
computed in bf16 and in fp32, the quantized variants in fp32 (as MLX's CPU backend is run).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import torch

from conversation import Conversation
from fakequant import MODES, round_weights
from model import build, configuration
from scoring import greedy, in_bf16, prepare, score

PROMPTS = 200


def choose(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A fair share of every skill, in the battery's order."""
    usable = [item for item in items if not item.get("lossy")]
    Random(3).shuffle(usable)
    by_skill: dict[str, list[dict[str, Any]]] = {}
    for item in usable:
        by_skill.setdefault(item["skill"], []).append(item)
    chosen: list[dict[str, Any]] = []
    while len(chosen) < PROMPTS:
        chosen += [queue.pop() for queue in by_skill.values() if queue]
    names = {item["id"] for item in chosen[:PROMPTS]}
    return [item for item in items if item["id"] in names]


def main() -> None:
    weights_file, models, battery = map(Path, sys.argv[1:4])
    weights = torch.load(weights_file, map_location="cpu", weights_only=True)["model"]
    snapshot = models / "bf16"
    conversation = Conversation(snapshot)
    items = json.loads((battery / "battery.json").read_text())
    vocabulary = conversation.tokenizer.get_vocab_size()
    single = build(configuration(conversation.id, vocabulary)).eval()
    single.load_state_dict(weights)
    round_weights(single, "bf16")
    half = in_bf16(snapshot)
    ends = {1, conversation.id["turn_end"], conversation.id["tool_response"]}
    lines = []
    for item in choose(items):
        prompt = prepare(item, battery, conversation)
        tokens, margins = greedy(half, prompt, ends)
        same = greedy(single, prompt, ends)[0] == tokens
        lines.append(
            json.dumps(
                {
                    "id": item["id"],
                    "prompt": prompt.ids[0].tolist(),
                    "tokens": tokens,
                    "margins": [round(margin, 3) for margin in margins],
                    "fp32_agrees": same,
                }
            )
        )
    (battery / "reference_tokens.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(len(lines), "prompts,", sum('"fp32_agrees": true' in line for line in lines), "alike in fp32", flush=True)
    table = {"bf16": score(weights, snapshot, battery, ["bf16"], half=True, misses=True)["bf16"]}
    for mode, each in score(weights, snapshot, battery, ["bf16", *MODES], misses=True).items():
        table["bf16 weights, fp32 arithmetic" if mode == "bf16" else mode] = each
    (models / "scores.json").write_text(json.dumps(table, indent=1) + "\n")
    for mode, each in table.items():
        print(
            mode,
            sum(right for right, _ in each.values()),
            "of",
            sum(count for _, count in each.values()),
            {skill: f"{right}/{count}" for skill, (right, count) in each.items() if right < count},
        )


if __name__ == "__main__":
    main()

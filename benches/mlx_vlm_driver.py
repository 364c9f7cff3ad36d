"""Runs one prompt through mlx-vlm and prints what it took, as one line of JSON.

The same arguments and the same fields as examples/rust/bench.rs, so that `cargo xtask bench` can put them side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

from mlx_vlm import load, stream_generate
from mlx_vlm.prompt_utils import apply_chat_template
from mlx_vlm.utils import prepare_inputs

# No token has this id: generation then stops at its length only.
NO_TOKEN = -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--image")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument("--repeats", type=int, default=2, help="measured runs, after the first one")
    arguments = parser.parse_args()
    started = float(os.environ["RMLX_BENCH_STARTED"])

    loading = time.perf_counter()
    model, processor = load(str(arguments.model))
    load_ms = 1e3 * (time.perf_counter() - loading)
    keep_soft_token_budget(processor, arguments.model)
    stop_at_length_only(processor)
    images = [arguments.image] if arguments.image else []
    prompt = apply_chat_template(processor, model.config, arguments.prompt, num_images=len(images))

    cold = run(model, processor, prompt, images, arguments.tokens)
    warm = [run(model, processor, prompt, images, arguments.tokens) for _ in range(arguments.repeats)]
    ids = prompt_ids(model, processor, prompt, images)
    later = warm or [cold]
    ttft_ms = statistics.median(run["ttft_ms"] for run in later)
    print(
        json.dumps(
            {
                "first_token_ms": 1e3 * (cold["first_token_time"] - started),
                "load_ms": load_ms,
                "first_ttft_ms": cold["ttft_ms"],
                "ttft_ms": ttft_ms,
                "prefill_tps": len(ids) / ttft_ms * 1e3,
                "decode_tps": statistics.median(run["decode_tps"] for run in later),
                "prefill_cpu_ms": statistics.median(run["prefill_cpu_ms"] for run in later),
                "decode_cpu_ms": statistics.median(run["decode_cpu_ms"] for run in later),
                "peak_rss_bytes": peak_rss_bytes(),
                "prompt_tokens": len(ids),
                "prompt_ids": ids,
                "tokens": cold["tokens"],
            }
        )
    )


def run(model, processor, prompt: str, images: list[str], tokens: int) -> dict[str, object]:
    """One greedy generation of exactly so many tokens."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    first = last = first_cpu = 0.0
    first_token_time = 0.0
    generated: list[int] = []
    for response in stream_generate(
        model, processor, prompt, image=images or None, max_tokens=tokens, temperature=0.0
    ):
        if len(generated) == tokens:
            break
        last = time.perf_counter()
        if not generated:
            first, first_token_time, first_cpu = last, time.time(), time.process_time()
        generated.append(int(response.token))
    return {
        "first_token_time": first_token_time,
        "ttft_ms": 1e3 * (first - begin),
        "decode_tps": (len(generated) - 1) / (last - first),
        "prefill_cpu_ms": 1e3 * (first_cpu - begin_cpu),
        "decode_cpu_ms": 1e3 * (time.process_time() - first_cpu) / (len(generated) - 1),
        "tokens": generated,
    }


def keep_soft_token_budget(processor, folder: Path) -> None:
    """mlx-vlm makes some image processors with default settings; the snapshot's own budget makes the prompts equal."""
    file = folder / "processor_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")).get("image_processor", {}) if file.is_file() else {}
    if "max_soft_tokens" in settings:
        processor.image_processor.max_soft_tokens = settings["max_soft_tokens"]


def peak_rss_bytes() -> int:
    """Linux counts in kilobytes, Darwin in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def stop_at_length_only(processor) -> None:
    criteria = processor.tokenizer.stopping_criteria
    criteria.additional_eos_token_ids = []
    criteria.eos_token_ids = [NO_TOKEN]


def prompt_ids(model, processor, prompt: str, images: list[str]) -> list[int]:
    inputs = prepare_inputs(processor, images=images or None, prompts=prompt, add_special_tokens=False)
    return inputs["input_ids"].flatten().tolist()


if __name__ == "__main__":
    main()

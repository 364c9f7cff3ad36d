"""Models that several GPUs of one host run together, through NCCL, beside one GPU: logits, speed and memory.

    cargo build --release --example bench --example devices
    python tools/group_check.py --examples target/release/examples --ranks 2 --out /tmp/full

With numpy. Each rank is a process with a GPU of its own. First the tests' small snapshots: how far the group's logits are from
the CPU's, and one GPU's, in standard deviations. Then random weights in the shapes of published models (`make_fullsize.py`).
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = (
    "unified-mixed-affine,unified-mxfp4,unified-nvfp4,e2b-mxfp8,e4b-bf16-hf,moe-nvfp4,dense31-affine4,gemma3-mixed,"
    "gemma3text-bf16-hf,gemma4text-affine4,qwen3vl-nvfp4,qwen3vltied-bf16-hf,qwen3vlmoe-mxfp4"
)
# How far rounding to bf16 puts logits, and as far where a router chooses another expert; unrelated logits are 1.4 apart.
FAR = 0.35
LARGE = ("31b", "26b-a4b")
PROMPT = "Describe this picture in a few words, and say what is in the middle of it. " * 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=Path, required=True, help="the folder of the built programs")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the large snapshots")
    parser.add_argument("--kinds", default=KINDS)
    parser.add_argument("--large", default=",".join(LARGE))
    arguments = parser.parse_args()
    for kind in filter(None, arguments.kinds.split(",")):
        small(arguments, kind)
    for model in filter(None, arguments.large.split(",")):
        large(arguments, model)


def small(arguments: argparse.Namespace, kind: str) -> None:
    """The group's logits beside the CPU's."""
    picture = ROOT / "tests/fixtures/media/square.png"
    command = [arguments.examples / "devices", ROOT / "tests/fixtures" / kind, picture]
    alone, group = run(command, 1)[0], run(command, arguments.ranks)[0]
    print(f"{kind:24}" + "".join(f"{out[what]:10.4f}" for out in (alone, group) for what in ("text", "image")), flush=True)
    if max(group.values()) > FAR:
        sys.exit(f"{kind}: the group's logits are not the CPU's")


def large(arguments: argparse.Namespace, model: str) -> None:
    """Speed and memory beside one GPU."""
    make = [sys.executable, ROOT / "tools/make_fullsize.py", "--model", model, "--format", "nvfp4"]
    subprocess.run([*make, "--base", ROOT / "tests/fixtures", "--out", arguments.out], check=True, stdout=subprocess.DEVNULL)
    folder = arguments.out / f"{model}-nvfp4"
    command = [arguments.examples / "bench", "--model", folder, "--prompt", PROMPT, "--tokens", "129", "--repeats", "3"]
    for ranks in (1, arguments.ranks):
        first, *others = run(command, ranks)
        peaks = " ".join(f"{out['peak_mlx_bytes'] / 1e9:6.2f}" for out in [first, *others])
        print(
            f"{model} nvfp4, {ranks} GPU{'s' if ranks > 1 else ''}: load {first['load_ms'] / 1e3:.1f} s, prompt of "
            f"{first['prompt_tokens']}: {first['prefill_tps']:.0f} tokens/s, decode {first['decode_tps']:.1f} tokens/s, "
            f"peak of each rank {peaks} GB",
            flush=True,
        )
    shutil.rmtree(folder)


def run(command: list, ranks: int) -> list[dict]:
    """What each rank prints as JSON."""
    port = free_port()
    processes = []
    for rank in range(ranks):
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": str(rank), "RMLX_BENCH_STARTED": str(time.time())}
        if ranks > 1:
            environment |= {"MLX_RANK": str(rank), "MLX_WORLD_SIZE": str(ranks)}
            environment |= {"NCCL_HOST_IP": "127.0.0.1", "NCCL_PORT": str(port)}
        processes.append(subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True))
    printed = [process.communicate(timeout=300)[0].strip() for process in processes]
    failed = [rank for rank, process in enumerate(processes) if process.returncode]
    if failed:
        sys.exit(f"{command}: ranks {failed} of {ranks} failed")
    return [json.loads(text.splitlines()[-1]) if text else {} for text in printed]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    main()

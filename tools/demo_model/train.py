"""Train the demo model on one GPU, in stages that resume from a checkpoint.

    python train.py --assets assets.npz --snapshot FOLDER --checkpoint FILE --seconds 500 --of 1000
    python train.py … --quantized --lr-scale 0.3 --seconds 300 --of 300 --fresh-schedule

The learning rate follows the time spent over the time planned (`--of`), so that a stage may be cut into several
commands. `--quantized` computes each step with the weights of one variant (bf16, mxfp4, nvfp4, affine4 in turn) and
applies its gradients to the master: straight-through.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

import scenes
import sounds
from batches import BUCKETS, Bucket, Steps, fill, pack, world
from conversation import Conversation
from fakequant import fake_quantize, quantized_weights
from model import build, configuration, initialize, logits_of
from muon import Muon
from render import render

STEP_MODES = ("bf16", "mxfp4", "nvfp4", "affine4")


class Media:
    """Turns a packed batch's vectors into pixels and samples, on the device."""

    def __init__(self, assets: dict[str, np.ndarray], device: torch.device, compiled: bool) -> None:
        self.atlas = torch.from_numpy(assets["atlas"]).to(device)
        self.codes = torch.from_numpy(assets["voice_codes"]).to(device)
        self.starts = torch.from_numpy(assets["voice_start"]).to(device)
        self.render = torch.compile(render, dynamic=False) if compiled else render
        self.waveforms = torch.compile(sounds.waveforms, dynamic=False) if compiled else sounds.waveforms

    @torch.no_grad()
    def __call__(self, batch: dict[str, Tensor], bucket: Bucket) -> dict[str, Tensor | None]:
        made: dict[str, Tensor | None] = {"pixels": None, "positions": None, "frames": None}
        n = batch["ids"].shape[0]
        if bucket.pictures:
            grid = batch["grid"].flatten(0, 1)
            pixels, positions = self.render(batch["pictures"].flatten(0, 1), grid[:, 0], grid[:, 1], self.atlas)
            made["pixels"] = pixels.bfloat16().view(n, bucket.pictures, scenes.BUDGET, -1)
            made["positions"] = positions.view(n, bucket.pictures, scenes.BUDGET, 2)
        if bucket.sounds:
            waves = self.waveforms(batch["waves"].flatten(0, 1), batch["frames"].flatten(), self.codes, self.starts)
            made["frames"] = waves.view(n, bucket.sounds, sounds.FRAMES, sounds.FRAME)
        return made


def answer_loss(
    model: torch.nn.Module,
    ids: Tensor,
    answer: Tensor,
    slot: Tensor,
    block: Tensor | None,
    pixels: Tensor | None,
    positions: Tensor | None,
    frames: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Summed loss over the answers' tokens, long answers damped; and which rows are right in every token."""
    logits = logits_of(model, ids, slot, block, pixels, positions, frames)[:, :-1]
    target, wanted = ids[:, 1:], answer[:, 1:]
    weight = wanted / wanted.sum(1, keepdim=True).clamp(min=1).sqrt()
    each = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    right = ((logits.argmax(-1) == target) | ~wanted).all(1)
    return (each * weight).sum(), right


class Trainer:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(options.seed)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        self.assets = dict(np.load(options.assets))
        self.conversation = Conversation(Path(options.snapshot))
        self.config = configuration(self.conversation.id, self.conversation.tokenizer.get_vocab_size())
        self.model = build(self.config).to(self.device)
        initialize(self.model)
        self.media = Media(self.assets, self.device, options.compile)
        self.loss = torch.compile(answer_loss, dynamic=False) if options.compile else answer_loss
        self.plain_loss = answer_loss
        self.step_count, self.spent = 0, 0.0
        matrices, rest, norms = [], [], []
        for name, parameter in self.model.named_parameters():
            if "layers." in name and parameter.ndim == 2:
                matrices.append(parameter)
            else:
                (rest if parameter.ndim == 2 else norms).append(parameter)
        adam = [{"params": rest, "lr": 2e-3, "weight_decay": 0.02}, {"params": norms, "lr": 2e-3, "weight_decay": 0.0}]
        if options.optimizer == "adamw":
            adam.append({"params": matrices, "lr": 2e-3, "weight_decay": 0.05})
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(adam, betas=(0.9, 0.98), fused=self.device.type == "cuda")
        ]
        if options.optimizer == "muon":
            self.optimizers.append(Muon(matrices, lr=0.015, weight_decay=0.02))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["peak"] = group["lr"]
        self.quantized = [weight for _, weight in quantized_weights(self.model)]

    def set_rate(self, elapsed: float, steps: int) -> None:
        share = min(1.0, elapsed / self.options.of)
        rate = (
            self.options.lr_scale
            * (0.5 * (1 + math.cos(math.pi * share)) * 0.98 + 0.02)
            * min(1.0, (steps + 1) / self.options.warmup)
        )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate

    def batch_loss(self, batch: dict[str, Tensor], bucket: Bucket, compiled: bool = True) -> tuple[Tensor, Tensor]:
        made = self.media(batch, bucket)
        block = batch["block"] if bucket.pictures else None
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return (self.loss if compiled else self.plain_loss)(
                self.model,
                batch["ids"],
                batch["answer"],
                batch["slot"],
                block,
                made["pixels"],
                made["positions"],
                made["frames"],
            )

    def train_step(self, step: list[dict[str, Tensor]], mode: str) -> Tensor:
        masters = []
        if mode != "bf16":
            masters = [weight.detach().clone() for weight in self.quantized]
            with torch.no_grad():
                for weight in self.quantized:
                    weight.copy_(fake_quantize(weight, mode))
        total = sum(bucket.batch for bucket in BUCKETS)
        report = []
        for batch, bucket in zip(step, BUCKETS):
            loss, right = self.batch_loss(batch, bucket)
            (loss / total).backward()
            report.append(torch.stack([loss.detach() / bucket.batch, right.float().mean()]))
        if masters:
            with torch.no_grad():
                for weight, master in zip(self.quantized, masters):
                    weight.copy_(master)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return torch.stack(report)

    @torch.no_grad()
    def evaluate(self, batches: int = 3) -> dict[str, float]:
        """Right answers by skill on fresh samples of the training renderer, with the weights as bf16 rounds them."""
        own = world(self.assets, seed=999_999)
        right: dict[str, list[bool]] = {}
        for _ in range(batches):
            for bucket in BUCKETS:
                samples = fill(own, self.conversation, bucket)
                arrays = {
                    k: torch.from_numpy(v).to(self.device) for k, v in pack(samples, self.conversation, bucket).items()
                }
                _, good = self.batch_loss(arrays, bucket, compiled=False)
                for (sample, _, _), yes in zip(samples, good.tolist()):
                    right.setdefault(sample.skill, []).append(yes)
        return {skill: round(sum(each) / len(each), 4) for skill, each in sorted(right.items())}

    def save(self, path: str, everything: bool = True) -> None:
        state: dict[str, Any] = {"model": self.model.state_dict(), "steps": self.step_count, "spent": self.spent}
        if everything:
            state["optimizers"] = [optimizer.state_dict() for optimizer in self.optimizers]
        torch.save(state, path)

    def load(self, path: str) -> None:
        state = torch.load(path, map_location=self.device, weights_only=False)
        self.model.load_state_dict(state["model"])
        self.step_count = state["steps"]
        if "optimizers" in state:
            for optimizer, saved in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(saved)
        if not self.options.fresh_schedule:
            self.spent = state["spent"]

    def run(self) -> None:
        options = self.options
        steps = Steps(options.assets, options.snapshot, seed=options.seed + 1 + self.step_count)
        loader = DataLoader(
            steps,
            batch_size=None,
            num_workers=options.workers,
            prefetch_factor=4 if options.workers else None,
            pin_memory=self.device.type == "cuda",
        )
        begun = None
        first = self.step_count
        total = torch.zeros(len(BUCKETS), 2, device=self.device)
        shown, since = time.time(), 0
        launched = time.time()
        for step in loader:
            step = [{name: array.to(self.device, non_blocking=True) for name, array in batch.items()} for batch in step]
            done = self.step_count - first
            if done == options.warm_steps:  # the compiler's time is not training time
                torch.cuda.synchronize() if self.device.type == "cuda" else None
                begun = time.time()
                print(f"compiled and warm after {begun - launched:.0f} s", flush=True)
            elapsed = self.spent + (time.time() - begun if begun else 0.0)
            self.set_rate(elapsed, done)
            mode = STEP_MODES[self.step_count % len(STEP_MODES)] if options.quantized else "bf16"
            total += self.train_step(step, mode)
            self.step_count += 1
            since += 1
            if self.step_count % options.every == 0:
                shares = (total / since).tolist()
                now = time.time()
                print(
                    f"step {self.step_count} {elapsed:.0f}s {1000 * (now - shown) / since:.1f} ms/step "
                    + " ".join(
                        f"{bucket.name} {loss:.3f}/{right:.3f}" for bucket, (loss, right) in zip(BUCKETS, shares)
                    ),
                    flush=True,
                )
                total.zero_()
                shown, since = now, 0
            if begun and (time.time() - begun > options.seconds or time.time() - launched > options.wall):
                break
        self.spent += time.time() - begun if begun else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", required=True)
    parser.add_argument("--snapshot", required=True)
    parser.add_argument("--checkpoint", required=True, help="read if it is there, written at the end")
    parser.add_argument("--weights", help="also write the weights alone here")
    parser.add_argument("--seconds", type=float, default=300, help="train this long now, compiling not counted")
    parser.add_argument("--of", type=float, default=300, help="of this many planned")
    parser.add_argument("--wall", type=float, default=1e9, help="stop after this many seconds, compiling counted")
    parser.add_argument("--lr-scale", type=float, default=1.0)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="muon")
    parser.add_argument("--quantized", action="store_true")
    parser.add_argument("--fresh-schedule", action="store_true")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--warm-steps", type=int, default=8)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    trainer = Trainer(options)
    if Path(options.checkpoint).exists():
        trainer.load(options.checkpoint)
    trainer.run()
    trainer.save(options.checkpoint)
    if options.weights:
        trainer.save(options.weights, everything=False)
    print(json.dumps(trainer.evaluate()), flush=True)


if __name__ == "__main__":
    main()

"""The rounding of MLX's quantization modes, in torch: what a weight becomes once packed and unpacked.

Used while training (the master learns to survive all variants) and to score the variants with transformers. Checked
against `mx.quantize` by check.py; the variants themselves are written by MLX.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

MODES = ("mxfp4", "nvfp4", "affine4", "mxfp8")
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def to_e2m1(x: Tensor) -> Tensor:
    """The nearest of the sixteen 4-bit floats, ties to the even code."""
    size = x.abs().clamp(max=6.0)
    step = torch.where(size < 2, 0.5, torch.where(size < 4, 1.0, 2.0))
    return torch.sign(x) * torch.round(size / step) * step


def fake_quantize(weight: Tensor, mode: str) -> Tensor:
    """`weight` [rows, columns] as bf16, quantized and dequantized along its rows."""
    rows = weight.shape[0]
    weight = weight.bfloat16().float()
    if mode == "affine4":
        groups = weight.reshape(rows, -1, 64)
        low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
        flip = low.abs() > high.abs()
        scale = ((high - low) / 15).clamp(min=1e-7)
        scale = torch.where(flip, scale, -scale)
        edge = torch.where(flip, low, high)
        zero = torch.round(edge / scale)
        scale = torch.where(zero != 0, edge / torch.where(zero != 0, zero, 1), scale)
        bias = torch.where(zero != 0, edge, 0)
        codes = torch.round((groups - bias) / scale).clamp(0, 15)
        return (codes * scale.bfloat16().float() + bias.bfloat16().float()).reshape(rows, -1)
    if mode == "nvfp4":
        groups = weight.reshape(rows, -1, 16)
        scale = (groups.abs().amax(-1, keepdim=True) / 6).to(torch.float8_e4m3fn).float()
        return torch.where(scale > 0, to_e2m1(groups / torch.where(scale > 0, scale, 1)) * scale, 0).reshape(rows, -1)
    groups = weight.reshape(rows, -1, 32)
    largest = groups.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    scale = torch.exp2(torch.ceil(torch.log2(largest / (6 if mode == "mxfp4" else 448))))
    scaled = groups / scale
    unpacked = to_e2m1(scaled) if mode == "mxfp4" else scaled.clamp(-448, 448).to(torch.float8_e4m3fn).float()
    return (unpacked * scale).reshape(rows, -1)


def quantized_weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights that mlx-vlm's converter packs: embeddings and linears, but nothing under a path with "vision"."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)) and "vision" not in name and name != "lm_head":
            yield name, module.weight


@torch.no_grad()
def round_weights(model: nn.Module, mode: str) -> None:
    """Every weight as the variant `mode` holds it ("bf16" for the master)."""
    for parameter in model.parameters():
        parameter.copy_(parameter.bfloat16().float())
    if mode != "bf16":
        for _, weight in quantized_weights(model):
            weight.copy_(fake_quantize(weight, mode))

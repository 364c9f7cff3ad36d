"""Draw a batch of picture vectors (`scenes.py`) on the GPU, straight into the model's patches."""

from __future__ import annotations

import torch
from torch import Tensor

from scenes import BUDGET, HEAD, PATCH, SPRITE, SPRITES
from sprites import CLIP, SIDE

LUMA = (0.299, 0.587, 0.114)


def sample_field(atlas: Tensor, index: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """The atlas' field `index` at (u, v) in [-1, 1]², bilinear, in units of half the square's side."""
    x = ((u + 1) * (SIDE / 2) - 0.5).clamp(0, SIDE - 1.001)
    y = ((v + 1) * (SIDE / 2) - 0.5).clamp(0, SIDE - 1.001)
    left, top = x.floor(), y.floor()
    fx, fy = x - left, y - top
    at = (index * (SIDE * SIDE)) + (top * SIDE + left).to(torch.int64)
    flat = atlas.view(-1)
    a, b = flat[at].float(), flat[at + 1].float()
    c, d = flat[at + SIDE].float(), flat[at + SIDE + 1].float()
    value = (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy
    return (value / 127.5 - 1) * CLIP


def cover(distance: Tensor, edge: Tensor, ringing: Tensor) -> Tensor:
    """How much of a pixel is inside, at a signed distance: an edge `edge` pixels wide, ringing as bicubic does."""
    t = distance / edge.clamp(min=0.1)
    return (0.5 + t).clamp(0, 1) + ringing * t * torch.exp(-t * t)


def render(vectors: Tensor, columns: Tensor, rows: Tensor, atlas: Tensor) -> tuple[Tensor, Tensor]:
    """Patches [n, 70, 6912] in [0, 1] at 8-bit steps, and their (column, row), -1 where there is none.

    vectors [n, VECTOR], columns and rows [n] (0 for no picture), atlas [sprites, 64, 64] bytes.
    """
    n = vectors.shape[0]
    device = vectors.device
    p = torch.arange(BUDGET, device=device)
    column = p[None] % columns.clamp(min=1)[:, None]
    row = p[None] // columns.clamp(min=1)[:, None]
    valid = p[None] < (columns * rows)[:, None]
    inner = torch.arange(PATCH, device=device) + 0.5
    x = (column[:, :, None] * PATCH).float() + inner  # [n, 70, 48]
    y = (row[:, :, None] * PATCH).float() + inner
    x, y = x[:, :, None, :], y[:, :, :, None]

    def head(i: int) -> Tensor:
        return vectors[:, i].view(n, 1, 1, 1)

    width, height = (columns * PATCH).view(n, 1, 1, 1).float(), (rows * PATCH).view(n, 1, 1, 1).float()
    cx, cy = x - width / 2, y - height / 2
    linear = 0.5 + cx * head(6) + cy * head(7)
    radial = torch.sqrt((cx / width.clamp(min=1)) ** 2 + (cy / height.clamp(min=1)) ** 2) * 1.4
    along = torch.where(head(8) > 0, radial, linear).clamp(0, 1)
    sharp = [head(i) * (1 - along) + head(3 + i) * along for i in range(3)]
    soft = list(sharp)
    for s in range(SPRITES):
        at = HEAD + s * SPRITE

        def part(i: int, at: int = at) -> Tensor:
            return head(at + i)

        cos, sin = torch.cos(part(5)), torch.sin(part(5))
        dx, dy = x - part(1), y - part(2)
        u = (dx * cos + dy * sin) / part(3).clamp(min=1)
        v = (dy * cos - dx * sin) / part(4).clamp(min=1)
        u = u + part(6) * v
        field = sample_field(atlas, part(0).clamp(min=0).to(torch.int64), u, v)
        inside = (u.abs() < 1) & (v.abs() < 1) & (part(0) >= 0)
        distance = torch.where(inside, field * torch.sqrt(part(3) * part(4)), -1e4)
        near, far = cover(distance, head(9), head(11)), cover(distance, head(10), head(11))
        level = 1 - part(10) * (0.5 + 0.5 * (u * torch.cos(part(11)) + v * torch.sin(part(11)))).clamp(0, 1)
        for i in range(3):
            colour = part(7 + i) * level
            sharp[i] = sharp[i] * (1 - near) + colour * near
            soft[i] = soft[i] * (1 - far) + colour * far
    light = sum(LUMA[i] * (sharp[i] - soft[i]) for i in range(3))
    gain = head(14) * (1 + head(15) * cx / width.clamp(min=1) + head(16) * cy / height.clamp(min=1))
    gain = gain * (1 + head(17) * torch.sin(head(18) * x + head(19) * y))
    pixels = torch.stack([(soft[i] + light) * gain for i in range(3)], dim=-1)  # [n, 70, 48, 48, 3]
    pixels = pixels + head(12)[..., None] * torch.randn_like(pixels)
    blocks = torch.randn(n, BUDGET, 6, 1, 6, 1, 3, device=device).expand(-1, -1, -1, 8, -1, 8, -1)
    pixels = pixels + head(13)[..., None] * blocks.reshape(n, BUDGET, PATCH, PATCH, 3)
    pixels = torch.round(pixels.clamp(0, 1) * 255) / 255
    pixels = torch.where(valid[:, :, None, None, None], pixels, 0.0)
    positions = torch.stack([column, row], dim=-1)
    return pixels.reshape(n, BUDGET, PATCH * PATCH * 3), torch.where(valid[..., None], positions, -1)

"""Muon for the hidden layers' matrices, matrices of one shape orthogonalized together."""

from __future__ import annotations

import torch
from torch import Tensor


def orthogonalize(batch: Tensor) -> Tensor:
    """Newton-Schulz towards the nearest orthogonal matrices, of a batch [n, rows, columns]."""
    x = batch.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized; steps scaled by sqrt(max(1, rows / columns)); decoupled weight decay."""

    def __init__(self, parameters: list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for parameter in parameters:
            by_shape.setdefault(parameter.shape, []).append(parameter)
        groups = [{"params": group} for group in by_shape.values()]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            parameters = group["params"]
            gradients = torch.stack([parameter.grad for parameter in parameters])
            state = self.state[parameters[0]]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradients)
            moment = state["momentum"]
            moment.lerp_(gradients, 1 - group["momentum"])
            update = orthogonalize(gradients.lerp(moment, group["momentum"]))
            rows, columns = parameters[0].shape
            scale = group["lr"] * max(1.0, rows / columns) ** 0.5
            for parameter, own in zip(parameters, update):
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(own, alpha=-scale)

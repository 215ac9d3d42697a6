"""Perceptrons as torch's own modules."""

import torch
from torch import nn

from mmbench.tasks._networks import MLP


def torch_modules(mlp: MLP, flat: torch.Tensor) -> nn.Sequential:
    """Return a perceptron as a torch module, without dropout."""
    layers: list[nn.Module] = []
    tensors = mlp.layout.split(flat[None])
    last = len(mlp.widths) - 2
    for i in range(last + 1):
        layer = nn.Linear(mlp.widths[i], mlp.widths[i + 1], dtype=flat.dtype)
        with torch.no_grad():
            layer.weight.copy_(tensors[f"weight{i}"][0].T)
            layer.bias.copy_(tensors[f"bias{i}"][0, 0])
        layers.append(layer)
        if i < last:
            layers.append(nn.LeakyReLU(mlp.slope))
    return nn.Sequential(*layers, *([nn.Tanh()] if mlp.squash else []))

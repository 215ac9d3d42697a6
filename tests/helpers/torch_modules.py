"""Perceptrons as torch's own modules."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from mmbench.core.vectors import Layout


def torch_mlp(
    widths: tuple[int, ...], flat: Tensor, *, slope: float = 0, squash: bool = False
) -> nn.Sequential:
    """Return a perceptron as a torch module, without dropout.

    Args:
        widths: features of the input, of each hidden layer and of the output.
        flat: parameters of one run.
        slope: slope of the rectifiers below zero.
        squash: whether the output passes through tanh.
    """
    modules: list[nn.Module] = []
    shapes = {}
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes |= {f"weight{i}": (inputs, outputs), f"bias{i}": (outputs,)}
        modules += [nn.Linear(inputs, outputs, dtype=flat.dtype), nn.LeakyReLU(slope)]
    tensors = Layout(shapes).split(flat[None])
    with torch.no_grad():
        for i, linear in enumerate(modules[::2]):
            linear.weight.copy_(tensors[f"weight{i}"][0].T)
            linear.bias.copy_(tensors[f"bias{i}"][0])
    return nn.Sequential(*modules[:-1], *([nn.Tanh()] if squash else []))

"""Inception's blocks: the published names, shapes and forks."""

import pytest
import torch
from inception_weights import random_weights
from torch.nn import functional

from mmbench.metrics._inception import forward, shapes
from mmbench.metrics._inception_blocks import NETWORK, Fork, Unit

# The published list: units of each block, each a convolution and its batch norm.
_A = "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool"
_C = "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 _pool"
_E = "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool"
PUBLISHED = {
    **{f"5{letter}": _A for letter in "bcd"},
    "6a": "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3",
    **{f"6{letter}": _C for letter in "bcde"},
    "7a": "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4",
    "7b": _E,
    "7c": _E,
}
STEM = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
KINDS = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
PUBLISHED_BYTES = 95_628_359  # of the file


def test_the_names_are_the_published_ones():
    """There are five tensors for each of 94 units, and two of the last layer."""
    units = [f"Conv2d_{name}" for name in STEM]
    for block, names in PUBLISHED.items():
        units += [f"Mixed_{block}.branch{name}" for name in names.split()]
    assert len(units) == 94
    expected = {f"{unit}.{kind}" for unit in units for kind in KINDS}
    assert set(shapes()) == expected | {"fc.weight", "fc.bias"}


def test_the_size_is_that_of_the_published_file():
    """The file has four bytes for each number, and a little for the names."""
    numbers = sum(torch.Size(shape).numel() for shape in shapes().values())
    assert 0 < PUBLISHED_BYTES - 4 * numbers < 100_000


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3)),
        ("Conv2d_4a_3x3.conv.weight", (192, 80, 3, 3)),
        ("Mixed_5b.branch_pool.conv.weight", (32, 192, 1, 1)),
        ("Mixed_5d.branch5x5_2.conv.weight", (64, 48, 5, 5)),
        ("Mixed_6a.branch3x3.conv.weight", (384, 288, 3, 3)),
        ("Mixed_6b.branch7x7_2.conv.weight", (128, 128, 1, 7)),
        ("Mixed_6c.branch7x7dbl_4.conv.weight", (160, 160, 7, 1)),
        ("Mixed_7a.branch7x7x3_4.conv.weight", (192, 192, 3, 3)),
        ("Mixed_7b.branch1x1.conv.weight", (320, 1280, 1, 1)),
        ("Mixed_7c.branch3x3dbl_3b.conv.weight", (384, 384, 3, 1)),
        ("Mixed_7c.branch_pool.bn.running_var", (192,)),
        ("fc.weight", (1008, 2048)),
    ],
)
def test_shapes_are_the_published_ones(name, shape):
    """Examples from all kinds of block have the published shapes."""
    assert shapes()[name] == shape


def unit(weights, name, signal, **options):
    """Compute a convolution, a batch norm and a ReLU from their definitions."""
    signal = functional.conv2d(signal, weights[f"{name}.conv.weight"], **options)
    scale, shift, mean, variance = (
        weights[f"{name}.bn.{kind}"][:, None, None]
        for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return ((signal - mean) / (variance + 0.001).sqrt() * scale + shift).clamp(min=0)


def average(signal):
    """Return the 3 x 3 mean of the pixels inside the image."""
    kernel = torch.ones(1, 1, 3, 3)
    ones = torch.ones(1, 1, *signal.shape[2:])
    inside = functional.conv2d(ones, kernel, padding=1)
    flat = signal.flatten(0, 1)[:, None]
    summed = functional.conv2d(flat, kernel, padding=1).reshape(signal.shape)
    return summed / inside


def block(name):
    """Return the step with the named block."""
    for step in NETWORK:
        if isinstance(step, Fork):
            first = step.branches[0][0]
            if isinstance(first, Unit) and first.name.startswith(name):
                return step
    raise AssertionError(name)


def test_an_early_block_is_as_published():
    """The average of the fourth branch does not count the padding."""
    name = "Mixed_5b"
    weights = random_weights(name)
    signal = torch.randn(2, 192, 9, 9, generator=torch.Generator().manual_seed(1))

    def one(branch, at, **options):
        return unit(weights, f"{name}.branch{branch}", at, **options)

    triple = one("3x3dbl_2", one("3x3dbl_1", signal), padding=1)
    expected = torch.cat(
        (
            one("1x1", signal),
            one("5x5_2", one("5x5_1", signal), padding=2),
            one("3x3dbl_3", triple, padding=1),
            one("_pool", average(signal)),
        ),
        1,
    )
    got = forward(weights, (block(name),), signal)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    counted = functional.avg_pool2d(signal, 3, 1, 1)
    assert (one("_pool", counted) - got[:, -32:]).abs().max() > 0.01  # the control


@pytest.mark.parametrize("name", ["Mixed_7b", "Mixed_7c"])
def test_the_last_blocks_are_as_published(name):
    """Forks within branches; an average in the first, a maximum in the second."""
    weights = random_weights(name)
    channels = 1280 if name == "Mixed_7b" else 2048
    signal = torch.randn(1, channels, 4, 4, generator=torch.Generator().manual_seed(1))

    def one(branch, at, **options):
        return unit(weights, f"{name}.branch{branch}", at, **options)

    def split(stem, at):
        flat = one(f"{stem}a", at, padding=(0, 1))
        return torch.cat((flat, one(f"{stem}b", at, padding=(1, 0))), 1)

    pooled = (
        average(signal)
        if name == "Mixed_7b"
        else functional.max_pool2d(signal, 3, 1, 1)
    )
    double = one("3x3dbl_2", one("3x3dbl_1", signal), padding=1)
    expected = torch.cat(
        (
            one("1x1", signal),
            split("3x3_2", one("3x3_1", signal)),
            split("3x3dbl_3", double),
            one("_pool", pooled),
        ),
        1,
    )
    got = forward(weights, (block(name),), signal)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)

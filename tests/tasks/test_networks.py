"""Networks against torch's own modules, one run at a time."""

import math
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch_modules import torch_mlp

from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.tasks._image_networks import mnist_icr
from mmbench.tasks._layers import (
    BatchNorm,
    Conv,
    Dropout,
    Initialisation,
    Linear,
    Rectifier,
    Reshape,
)
from mmbench.tasks._networks import Network, mlp
from mmbench.testing.tools import PLACEMENT

RUNS, BATCH = 3, 7


@pytest.mark.parametrize(
    ("widths", "options", "dropout"),
    [
        ((3, 5, 2), {}, {}),
        ((3, 5, 4, 1), {"slope": 0.2}, {}),
        ((2, 9), {"squash": True}, {}),
        (
            (3, 5, 4, 2),
            {"slope": 0.2, "squash": True},
            {"dropout": 0.5, "dropped": 2},
        ),
    ],
)
def test_network_is_torchs(
    widths: tuple[int, ...], options: dict, dropout: dict
) -> None:
    """Each run's outputs are those of its own module; no masks, no dropout."""
    random = torch.Generator().manual_seed(2)
    network = mlp(widths, **options, **dropout)
    shape = (RUNS, network.layout.size)
    flat = torch.randn(shape, generator=random, dtype=torch.float64)
    inputs = torch.randn(RUNS, BATCH, widths[0], generator=random, dtype=torch.float64)
    outputs = network(flat, inputs)
    assert outputs.shape == (RUNS, BATCH, widths[-1])
    for run in range(RUNS):
        expected = torch_mlp(widths, flat[run], **options)(inputs[run])
        torch.testing.assert_close(outputs[run], expected, rtol=1e-12, atol=1e-13)


def test_masks_drop_units_of_the_hidden_layers() -> None:
    """A mask of zeros in the last dropped layer leaves the biases after it."""
    network = mlp((3, 5, 4, 2), slope=0.2, dropout=0.5, dropped=2)
    assert network.mask_width == 9
    random = torch.Generator().manual_seed(0)
    flat = torch.randn(1, network.layout.size, generator=random)
    inputs = torch.randn(1, BATCH, 3, generator=torch.Generator().manual_seed(1))
    masks = torch.ones(1, BATCH, 9)
    torch.testing.assert_close(network(flat, inputs, masks), network(flat, inputs))
    masks[:, :, 5:] = 0
    bias = list(network.layout.split(flat).values())[-1]
    torch.testing.assert_close(network(flat, inputs, masks), bias.expand(1, BATCH, 2))
    masks[:, :, 5:], masks[:, :, :5] = 1, 0  # the first layer's come first
    first_dropped = network(flat, inputs, masks)
    torch.testing.assert_close(first_dropped, first_dropped[:, :1].expand(1, BATCH, 2))


def test_masks_keep_the_mean() -> None:
    """Units stay with the declared share and are scaled up for it."""
    game = TASKS.build("digits01[hidden=64,batch=128,dropout=0.3]").build(PLACEMENT)
    batch = game.draw(generator(0, "data"), 4)
    for masks in (batch.real_masks, batch.fake_masks):
        assert masks.unique().tolist() == pytest.approx([0, 1 / 0.7], rel=1e-6)
        assert masks.mean().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(batch.real_masks, batch.fake_masks)


def test_orthogonal_starts() -> None:
    """Weights are orthogonal times the gain, biases zero, runs different."""
    network = mlp((6, 6, 3))
    orthogonal = Initialisation("orthogonal", bias="zero", gain=0.8)
    flats = [network.start(orthogonal, generator(s, "start")) for s in (0, 1)]
    for flat in flats:
        tensors = network.layout.split(flat[None])
        weight = tensors["0.weight"][0]
        torch.testing.assert_close(
            weight @ weight.T, 0.64 * torch.eye(6), rtol=0, atol=1e-6
        )
        assert not tensors["0.bias"].any()
        assert not tensors["2.bias"].any()
    assert not torch.equal(*flats)


@pytest.mark.parametrize("linear", ["glorot", "xavier"])
def test_glorot_starts(linear: Literal["glorot", "xavier"]) -> None:
    """Weights fill ±√(6 / (inputs + outputs)) evenly."""
    network = mlp((100, 200, 1))
    flat = network.start(Initialisation(linear, bias="zero"), generator(0, "start"))
    weight = network.layout.split(flat[None])["0.weight"]
    bound = math.sqrt(6 / 300)
    assert bound * 0.99 < weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


# ---- chains of layers ----


def test_given_moments_make_samples_independent_of_each_other() -> None:
    """With moments, a sample does not depend on its batch."""
    network, _ = mnist_icr(5, 1)
    random = torch.Generator().manual_seed(0)
    flat = torch.randn(2, network.layout.size, generator=random, dtype=torch.float64)
    noise = torch.randn(2, 40, 5, generator=random, dtype=torch.float64)
    moments = network.moments(flat, noise)
    assert len(moments) == 3
    whole = network(flat, noise, moments=moments)
    torch.testing.assert_close(whole, network(flat, noise), rtol=1e-9, atol=1e-11)
    part = network(flat, noise[:, 3:7], moments=moments)
    torch.testing.assert_close(part, whole[:, 3:7], rtol=1e-9, atol=1e-11)
    assert not torch.allclose(part, network(flat, noise[:, 3:7]))


def test_masks_of_several_layers_lie_side_by_side() -> None:
    """Each dropout layer takes its own units, in the order of the layers."""
    network = Network(
        (4,),
        (
            Linear(4, 12),
            Dropout(0.5),
            Reshape((3, 2, 2)),
            Dropout(0.0),  # takes no units
            Conv(3, 2, kernel=1),
            Dropout(0.5),
            Reshape((8,)),
            Linear(8, 1),
        ),
    )
    assert network.mask_width == 12 + 8
    random = torch.Generator().manual_seed(0)
    flat = torch.randn(2, network.layout.size, generator=random)
    inputs = torch.randn(2, BATCH, 4, generator=random)
    masks = torch.ones(2, BATCH, 20)
    torch.testing.assert_close(network(flat, inputs, masks), network(flat, inputs))
    masks[:, :, 12:] = 0  # nothing but the last bias is left
    bias = network.layout.split(flat)["7.bias"].expand(2, BATCH, 1)
    torch.testing.assert_close(network(flat, inputs, masks), bias)
    masks[:, :, 12:], masks[:, :, :12] = 1, 0  # the input is forgotten
    outputs = network(flat, inputs, masks)
    torch.testing.assert_close(outputs, outputs[:, :1].expand(2, BATCH, 1))
    assert not torch.allclose(outputs, bias)


def test_starts_join_the_layers_starts() -> None:
    """The layers draw their parameters in order, from one generator."""
    network = Network((3,), (Linear(3, 4), Rectifier(), BatchNorm(4), Linear(4, 1)))
    first = Initialisation("torch", "torch", "torch")
    flat = network.start(first, generator(0, "start"))
    tensors, random = network.layout.split(flat[None]), generator(0, "start")
    for i, layer in enumerate(network.layers):
        for name, tensor in layer.start(first, random).items():
            assert torch.equal(tensors[f"{i}.{name}"][0], tensor)


# ---- spectral normalisation ----


NORMALISED = Network(
    (2, 4, 4),
    (
        Conv(2, 3, kernel=3, padding=1),
        Rectifier(0.1),
        Reshape((48,)),
        Linear(48, 5),
        Rectifier(0.1),
        Linear(5, 1),
    ),
    normalised=True,
)


def spectral_flat(runs: int = 3) -> Tensor:
    """Parameters whose first weights have a clear largest singular value."""
    random = torch.Generator().manual_seed(1)
    size = NORMALISED.layout.size
    flat = torch.randn(runs, size, generator=random, dtype=torch.float64)
    tensors = NORMALISED.layout.split(flat)
    for name in ("0.weight", "3.weight"):
        matrix = tensors[name].flatten(2)
        matrix += 8 * torch.ones_like(matrix) / matrix[0].numel() ** 0.5
    return flat


def converged(flat: Tensor) -> tuple[Tensor, ...]:
    """Singular vectors after many power iterations."""
    vectors = NORMALISED.first_vectors(flat)
    for _ in range(200):
        vectors = NORMALISED.power_iteration(flat, vectors)
    return vectors


def test_spectral_norm_is_the_largest_singular_value() -> None:
    """Converged, the network is the plain one with each weight over its norm."""
    flat = spectral_flat()
    plain = Network(NORMALISED.input_shape, NORMALISED.layers)
    divided = flat.clone()
    tensors = plain.layout.split(divided)
    for name in ("0.weight", "3.weight", "5.weight"):
        for run in range(len(flat)):
            weight = tensors[name][run]
            norm = torch.linalg.svdvals(weight.flatten(1))[0]
            weight /= norm
    random = torch.Generator().manual_seed(2)
    inputs = torch.randn(3, BATCH, 2, 4, 4, generator=random, dtype=torch.float64)
    outputs = NORMALISED(flat, inputs, vectors=converged(flat))
    torch.testing.assert_close(outputs, plain(divided, inputs), rtol=1e-9, atol=1e-11)


def test_one_power_iteration_is_torchs() -> None:
    """From the same left vector, torch's module reaches the same pair and output."""
    layer = Network((6,), (Linear(6, 4),), normalised=True)
    random = torch.Generator().manual_seed(3)
    flat = torch.randn(1, layer.layout.size, generator=random, dtype=torch.float64)
    tensors, first = layer.layout.split(flat), layer.first_vectors(flat)
    module = nn.Linear(6, 4, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(tensors["0.weight"][0].T)
        module.bias.copy_(tensors["0.bias"][0, 0])
    module = spectral_norm(module)
    # Torch's rows are our columns, so its pair is ours the other way round; it moves
    # the vector of rows first, as we do.
    norm = module.parametrizations.weight[0]
    norm._v.copy_(first[0][0])
    norm._u.copy_(first[1][0])
    matrix = tensors["0.weight"][0].T
    norm._power_method(matrix, 1)
    left, right = layer.power_iteration(flat, first)
    torch.testing.assert_close(right[0], norm._u)
    torch.testing.assert_close(left[0], norm._v)


def test_gradients_take_singular_vectors_as_constants() -> None:
    """Value and gradient are those of torch's module with the same vectors."""
    layer = Network((6,), (Linear(6, 4),), normalised=True)
    random = torch.Generator().manual_seed(3)
    flat = torch.randn(2, layer.layout.size, generator=random, dtype=torch.float64)
    vectors = layer.first_vectors(flat)
    inputs = torch.randn(2, BATCH, 6, generator=random, dtype=torch.float64)
    moving = flat.clone().requires_grad_()
    outputs = layer(moving, inputs, vectors=vectors)
    (found,) = torch.autograd.grad(outputs.sin().sum(), moving)
    tensors, slopes = layer.layout.split(flat), layer.layout.split(found)
    for run in range(2):
        module = nn.Linear(6, 4, dtype=torch.float64)
        with torch.no_grad():
            module.weight.copy_(tensors["0.weight"][run].T)
            module.bias.copy_(tensors["0.bias"][run, 0])
        module = spectral_norm(module).eval()
        norm = module.parametrizations.weight[0]
        norm._v.copy_(vectors[0][run])
        norm._u.copy_(vectors[1][run])
        expected = module(inputs[run])
        torch.testing.assert_close(outputs[run], expected, rtol=1e-12, atol=1e-13)
        expected.sin().sum().backward()
        gradient = module.parametrizations.weight.original.grad
        torch.testing.assert_close(slopes["0.weight"][run].T, gradient)


def test_first_vectors_are_warm() -> None:
    """Fifteen iterations from a fixed direction; none where nothing is divided."""
    flat = spectral_flat()
    first = NORMALISED.first_vectors(flat)
    assert len(first) == 6
    for one, length in zip(first, (3, 18, 48, 5, 5, 1), strict=True):
        assert one.shape == (3, length)
        torch.testing.assert_close(one.norm(dim=1), torch.ones(3, dtype=one.dtype))
    for name, left, right in zip(
        NORMALISED._weights, first[::2], first[1::2], strict=True
    ):
        weight = NORMALISED.layout.split(flat)[name].flatten(2)
        norm = torch.einsum("ri,rij,rj->r", left, weight, right)
        largest = torch.linalg.svdvals(weight)[:, 0]
        torch.testing.assert_close(norm, largest, rtol=0.01, atol=0)
    alone = NORMALISED.first_vectors(flat[1:2])
    for one, other in zip(first, alone, strict=True):
        torch.testing.assert_close(one[1:2], other, rtol=1e-12, atol=1e-14)
    plain = Network(NORMALISED.input_shape, NORMALISED.layers)
    assert plain.first_vectors(flat) == ()

"""Layers against torch's own modules, one run at a time: values and derivatives."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mmbench.core.vectors import Layout
from mmbench.tasks._layers import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dropout,
    Initialisation,
    Layer,
    Linear,
    MaxPool,
    Rectifier,
    Reshape,
    Shape,
    Tanh,
    fold,
    unfold,
)

BATCH = 4
RUNS = (1, 3)

# A layer, the shape of one input, and torch's module for it.
CASES = [
    (Linear(6, 5), (6,), lambda: nn.Linear(6, 5)),
    (Conv(2, 3, kernel=3), (2, 6, 5), lambda: nn.Conv2d(2, 3, 3)),
    (
        Conv(2, 3, kernel=4, stride=2, padding=1),
        (2, 8, 6),
        lambda: nn.Conv2d(2, 3, 4, 2, 1),
    ),
    (
        Conv(3, 2, kernel=5, stride=2, padding=2),
        (3, 7, 8),
        lambda: nn.Conv2d(3, 2, 5, 2, 2),
    ),
    (
        ConvTranspose(3, 2, kernel=4, stride=2, padding=1),
        (3, 4, 3),
        lambda: nn.ConvTranspose2d(3, 2, 4, 2, 1),
    ),
    (
        ConvTranspose(2, 3, kernel=5, stride=2, padding=2, extra=1),
        (2, 4, 3),
        lambda: nn.ConvTranspose2d(2, 3, 5, 2, 2, output_padding=1),
    ),
    (BatchNorm(5), (5,), lambda: nn.BatchNorm1d(5)),
    (BatchNorm(3), (3, 4, 2), lambda: nn.BatchNorm2d(3)),
    (Rectifier(), (4,), nn.ReLU),
    (Rectifier(0.2), (2, 3, 3), lambda: nn.LeakyReLU(0.2)),
    (Tanh(), (2, 3, 3), nn.Tanh),
    (MaxPool(), (2, 6, 4), lambda: nn.MaxPool2d(2)),
    (MaxPool(), (2, 5, 7), lambda: nn.MaxPool2d(2)),
    (Reshape((2, 2, 3)), (12,), lambda: nn.Unflatten(1, (2, 2, 3))),
    (Reshape((12,)), (2, 2, 3), nn.Flatten),
]
each_case = pytest.mark.parametrize(("layer", "shape", "make"), CASES)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Draw standard normal numbers in double precision."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.float64)


def apply(layer: Layer, flat: Tensor, signal: Tensor) -> Tensor:
    """Apply the layer with the parameters of a flat vector."""
    tensors = Layout(layer.shapes).split(flat) if layer.shapes else {}
    if isinstance(layer, BatchNorm):
        return layer(tensors, signal, None)
    return layer(tensors, signal)


def module_of(layer: Layer, make: Callable[[], nn.Module], flat: Tensor) -> Callable:
    """Return torch's module as a function, with the parameters of a flat vector."""
    module = make().double()
    tensors = Layout(layer.shapes).split(flat[None]) if layer.shapes else {}
    named = {}
    for name, parameter in module.named_parameters():
        ours = {"scale": "weight", "shift": "bias"}
        (key,) = [one for one in layer.shapes if ours.get(one, one) == name]
        tensor = tensors[key][0]
        if isinstance(layer, Linear):
            tensor = tensor.T if name == "weight" else tensor[0]
        assert tensor.shape == parameter.shape
        named[name] = tensor
    return lambda signal: torch.func.functional_call(module, named, (signal,))


@pytest.mark.parametrize("runs", RUNS)
@each_case
def test_layer_is_torchs(layer: Layer, shape: Shape, make: Callable, runs: int) -> None:
    """Outputs, gradients and Hessian products of each run are its own module's."""
    size = Layout(layer.shapes).size
    flat = numbers(runs, size, seed=1).requires_grad_()
    signal = numbers(runs, BATCH, *shape, seed=2).requires_grad_()
    outputs = apply(layer, flat, signal)
    assert outputs.shape == (runs, BATCH, *layer.output_shape(shape))
    inputs = [flat, signal] if size else [signal]
    towards = [numbers(*one.shape, seed=5 + i) for i, one in enumerate(inputs)]

    def derivatives(loss: Tensor, at: list[Tensor], along: list[Tensor]) -> list:
        first = torch.autograd.grad(loss, at, create_graph=True)
        slope = sum((one * v).sum() for one, v in zip(first, along, strict=True))
        return [*first, *torch.autograd.grad(slope, at, materialize_grads=True)]

    # A curved function of the outputs, so that second derivatives are not zero.
    bend = numbers(*outputs.shape, seed=3)
    together = derivatives((bend * outputs.sin()).sum(), inputs, towards)
    for run in range(runs):
        mine = [one[run].detach().clone().requires_grad_() for one in inputs]
        empty = numbers(0)
        module = module_of(layer, make, mine[0] if size else empty)
        alone = module(mine[-1])
        torch.testing.assert_close(outputs[run], alone, rtol=1e-12, atol=1e-13)
        expected = derivatives(
            (bend[run] * alone.sin()).sum(), mine, [one[run] for one in towards]
        )
        for ours, theirs in zip(together, expected, strict=True):
            torch.testing.assert_close(ours[run], theirs, rtol=1e-10, atol=1e-11)


def test_folding_is_undone() -> None:
    """Folding puts runs into channels, run by run, and unfolding inverts it."""
    signal = numbers(3, BATCH, 2, 5, 5)
    folded = fold(signal)
    assert folded.shape == (BATCH, 6, 5, 5)
    assert torch.equal(folded[:, 2:4], signal[1])
    assert torch.equal(unfold(folded, 3), signal)


@pytest.mark.parametrize("shape", [(5,), (3, 4, 2)])
def test_batch_norm_uses_given_moments(shape: Shape) -> None:
    """Given the moments of other inputs, it is torch's module in evaluation mode."""
    layer = BatchNorm(shape[0])
    flat = numbers(2, Layout(layer.shapes).size, seed=1)
    tensors = Layout(layer.shapes).split(flat)
    many, few = numbers(2, 50, *shape, seed=2) * 3 + 1, numbers(2, 3, *shape, seed=3)
    moments = layer.moments(many)
    axes = [1, *range(3, many.ndim)]
    torch.testing.assert_close(moments.mean, many.mean(axes).flatten())
    spread = many.var(axes, correction=0).flatten()
    torch.testing.assert_close(moments.variance, spread)
    outputs = layer(tensors, few, moments)
    # On the inputs that the moments are of, they change nothing.
    torch.testing.assert_close(
        layer(tensors, many, moments), layer(tensors, many, None), rtol=1e-9, atol=1e-11
    )
    for run in range(2):
        module = (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0])
        module = module.double().eval()
        with torch.no_grad():
            module.running_mean.copy_(moments.mean.view(2, -1)[run])
            module.running_var.copy_(moments.variance.view(2, -1)[run])
            module.weight.copy_(tensors["scale"][run])
            module.bias.copy_(tensors["shift"][run])
            expected = module(few[run])
        torch.testing.assert_close(outputs[run], expected, rtol=1e-12, atol=1e-13)


def test_dropout_multiplies_by_its_mask() -> None:
    """Units of an image lie in the mask as they lie in memory."""
    signal, mask = numbers(2, BATCH, 3, 2, 2), numbers(2, BATCH, 12, seed=1)
    expected = (signal.flatten(2) * mask).view(signal.shape)
    assert torch.equal(Dropout(0.5)(signal, mask), expected)
    assert Dropout(0.5).output_shape((3, 2, 2)) == (3, 2, 2)


# ---- initial parameters ----

MANY = 40  # draws of each first weight
LARGE = [
    (Linear(40, 30), lambda: nn.Linear(40, 30)),
    (
        Conv(8, 16, kernel=4, stride=2, padding=1),
        lambda: nn.Conv2d(8, 16, 4, 2, 1),
    ),
    (
        ConvTranspose(16, 8, kernel=4, stride=2, padding=1),
        lambda: nn.ConvTranspose2d(16, 8, 4, 2, 1),
    ),
]


def draw_starts(layer: Layer, first: Initialisation) -> dict[str, Tensor]:
    """Draw the initial parameters of many runs."""
    every = [
        layer.start(first, torch.Generator().manual_seed(seed)) for seed in range(MANY)
    ]
    return {name: torch.stack([one[name] for one in every]) for name in layer.shapes}


def assert_uniform(values: Tensor, bound: float) -> None:
    """Check that values are spread evenly between plus and minus the bound."""
    assert 0.99 * bound < values.abs().max() <= bound
    assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    # The mean of n values has a standard deviation of bound / √(3 n); five of them.
    assert abs(values.mean().item()) < 5 * bound / math.sqrt(3 * values.numel())


@pytest.mark.parametrize(("layer", "make"), LARGE)
def test_initialisation_of_torch(layer: Layer, make: Callable) -> None:
    """Weights and biases have the bounds and the spread of torch's own."""
    torch.manual_seed(0)
    modules = [make() for _ in range(MANY)]
    ours = draw_starts(layer, Initialisation("torch", "torch", "torch"))
    for name in ("weight", "bias"):
        theirs = torch.stack([getattr(one, name).detach() for one in modules])
        assert ours[name].numel() == theirs.numel()
        most = theirs.abs().max().item()
        assert ours[name].abs().max().item() == pytest.approx(most, rel=0.01)
        assert_uniform(ours[name], ours[name].abs().max().item() * (1 + 1e-6))
        assert ours[name].std().item() == pytest.approx(theirs.std().item(), rel=0.03)


@pytest.mark.parametrize(
    ("layer", "law", "bound"),
    [
        (LARGE[0][0], "glorot", math.sqrt(6 / (40 + 30))),
        (LARGE[1][0], "glorot", math.sqrt(6 / (8 * 16 + 16 * 16))),
        (LARGE[2][0], "glorot", math.sqrt(6 / (16 * 16 + 8 * 16))),
        # Four positions share an input of a convolution of stride 2, so each reaches
        # 16 · 16 / 4 numbers; the transposed one has it the other way round.
        (LARGE[1][0], "he", math.sqrt(12 / (8 * 16 + 16 * 16 / 4))),
        (LARGE[2][0], "he", math.sqrt(12 / (16 * 16 / 4 + 8 * 16))),
        (Conv(8, 16, kernel=3), "he", math.sqrt(12 / (8 * 9 + 16 * 9))),
    ],
)
def test_other_uniform_initialisations(layer: Layer, law: str, bound: float) -> None:
    """Glorot's and He's bounds by their formulas; biases zero."""
    linear = "glorot" if law == "glorot" else "torch"
    first = draw_starts(layer, Initialisation(linear, law, "zero"))
    assert_uniform(first["weight"], bound)
    assert not first["bias"].any()


def test_glorots_bound_is_torchs() -> None:
    """On the weight of a convolution, torch's initialiser has the same bound."""
    weight = torch.empty(16, 8, 4, 4)
    nn.init.xavier_uniform_(weight, generator=torch.Generator().manual_seed(0))
    ours = draw_starts(LARGE[1][0], Initialisation("torch", "glorot", "zero"))["weight"]
    most = weight.abs().max().item()
    assert ours.abs().max().item() == pytest.approx(most, rel=0.01)


@pytest.mark.parametrize("layer", [case[0] for case in LARGE[1:]])
def test_normal_initialisation(layer: Layer) -> None:
    """A number is the standard deviation of convolutions; biases stay torch's."""
    first = draw_starts(layer, Initialisation("torch", 0.02, "torch"))
    weight = first["weight"]
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    kurtosis = (weight / weight.std()).pow(4).mean().item()
    assert kurtosis == pytest.approx(3, abs=0.1)  # a normal law's; a uniform one's: 1.8
    # Torch counts kernel area times the second axis of the weight.
    inputs = math.prod(layer.shapes["weight"][1:])
    assert_uniform(first["bias"], 1 / math.sqrt(inputs))


def test_normalisation_begins_with_the_identity() -> None:
    """Scale 1 and shift 0, for every initialisation."""
    first = BatchNorm(3).start(
        Initialisation("glorot", 0.02, "zero"), torch.Generator()
    )
    assert first["scale"].tolist() == [1, 1, 1]
    assert first["shift"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("layer", [Rectifier(), Tanh(), MaxPool(), Dropout(0.5)])
def test_layers_without_weights(layer: Layer) -> None:
    """There is nothing to draw and nothing on the flat vector."""
    assert layer.shapes == {}
    assert (
        layer.start(Initialisation("torch", "torch", "torch"), torch.Generator()) == {}
    )

"""Layers in C are those of torch, bit by bit, or are left to torch."""

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.algorithms import ALGORITHMS
from mmbench.core.placement import Placement
from mmbench.engine import chunk
from mmbench.engine.cell import Cell
from mmbench.engine.compiled import c_layers
from mmbench.engine.compiled.c_layers import (
    Compute,
    FastLayers,
    Size,
    compiled_layers,
    layers_as_torch,
    size_of,
)
from mmbench.engine.run_cell import run_cell
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS
from mmbench.tasks._networks import LinearLayer, linear_layers, mlp

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
NETWORKS = [
    ((2, 64, 64, 2), 0.0),
    ((16, 128, 128, 2), 0.0),
    ((100, 64, 40, 784), 0.2),
    ((8, 32, 33, 4, 16), 0.0),
    ((100, 256, 40, 784), 0.2),  # torch makes long sums in parts
]


class Counted:
    """The compiled function, and the layers that each call was given.

    Args:
        compute: the function.
    """

    def __init__(self, compute: Compute) -> None:
        self.calls: list[int] = []
        self._compute = compute

    def __call__(self, signal: Tensor, layers: Sequence[LinearLayer]) -> Tensor | None:
        """Compute the outputs."""
        self.calls.append(len(layers))
        return self._compute(signal, layers)


@pytest.fixture(name="compute")
def fixture_compute(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Return the compiled function, which is used for layers of any size."""
    compute = compiled_layers()
    if compute is None or layers_as_torch(compute, Size(8, 8, (8, 64), (None,))) < 1:
        pytest.skip("this processor's torch gives other bits")
    monkeypatch.setattr(c_layers, "LEAST", 1)
    monkeypatch.setattr(c_layers, "COMPARED", 1)
    return Counted(compute)


@pytest.fixture(name="fast")
def fixture_fast(compute: Counted) -> FastLayers:
    """Return a context that computes with the compiled function."""
    return FastLayers(lambda: compute)


def bits(tensor: Tensor) -> np.ndarray:
    """Return a tensor as integers, which tell -0 from 0 and are equal for equal NaN."""
    return tensor.detach().numpy().view(np.int32)


def layers_of(
    widths: Sequence[int], slope: float, runs: int = 3
) -> tuple[Tensor, list[LinearLayer]]:
    """Return inputs and layers of random numbers, with rectifiers between them."""
    source = torch.Generator().manual_seed(1)
    signal = torch.randn(runs, 101, widths[0], generator=source)
    layers = []
    for inputs, outputs in pairwise(widths):
        weight = torch.randn(runs, inputs, outputs, generator=source)
        bias = torch.randn(runs, 1, outputs, generator=source)
        layers.append(LinearLayer(weight / inputs**0.5, bias, slope))
    return signal, [*layers[:-1], layers[-1]._replace(slope=None)]


@pytest.mark.parametrize(("widths", "slope"), NETWORKS)
def test_a_network_has_the_bits_of_torch(
    widths: tuple[int, ...], slope: float, compute: Counted
) -> None:
    network = mlp(widths, slope=slope)
    flat = torch.randn(3, network.layout.size) / 8
    inputs = torch.randn(3, 101, widths[0])
    expected = network(flat, inputs)
    size = Size(3, 101, widths, (*[slope] * (len(widths) - 2), None))
    agreed = layers_as_torch(compute, size)
    compute.calls.clear()
    with FastLayers(lambda: compute):
        found = network(flat, inputs)
        with_features = network(flat, inputs, with_features=True)
    assert compute.calls == [agreed]
    if HAS_AVX512:
        assert agreed == (1 if 256 in widths else len(widths) - 1)
    assert (bits(found) == bits(expected)).all()
    assert (bits(with_features[:, :, : widths[-1]]) == bits(expected)).all()


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_numbers_that_are_not_finite_pass_as_in_torch(
    slope: float, compute: Counted
) -> None:
    signal, layers = layers_of((4, 32, 20), slope)
    signal[0, 3, 1], signal[1, 5, 0], signal[2, 7, 2] = np.nan, np.inf, -np.inf
    signal[0, 9] = 0.0
    layers[0].bias[0] = -0.0
    expected = linear_layers(signal, layers)
    with FastLayers(lambda: compute):
        found = linear_layers(signal, layers)
    assert 2 in compute.calls
    is_nan = expected.isnan().numpy()
    assert (found.isnan().numpy() == is_nan).all()
    assert is_nan.any()
    assert (bits(found) == bits(expected))[~is_nan].all()


def test_layers_from_the_first_other_one_on_are_left_to_torch(compute: Counted) -> None:
    def wrong(signal: Tensor, layers: Sequence[LinearLayer]) -> Tensor:
        """Compute the outputs, one of them wrong where layers have 33 outputs."""
        outputs = compute(signal, layers)
        if any(one.weight.shape[2] == 33 for one in layers):
            outputs[0, -1, -1] += 1e-3
        return outputs

    signal, layers = layers_of((8, 32, 33, 40), 0.0)
    size = size_of(signal, layers)
    assert size is not None
    assert layers_as_torch(wrong, size) == 1
    assert layers_as_torch(compute, size) == 3
    compute.calls.clear()
    with FastLayers(lambda: wrong):
        found = linear_layers(signal, layers)
    assert compute.calls == [1]
    assert (bits(found) == bits(linear_layers(signal, layers))).all()


def test_layers_are_compared_with_numbers_that_tell_orders_apart() -> None:
    """A layer is not taken for one like torch's because most of its inputs are 0."""

    def reordered(signal: Tensor, layers: Sequence[LinearLayer]) -> Tensor:
        """Sum in another order where a layer has 15 outputs."""
        (layer,) = layers
        if layer.weight.shape[2] != 15:
            return linear_layers(signal, layers)
        first, second = signal[:, :, :1], signal[:, :, 1:]
        moved = torch.baddbmm(layer.bias, first, layer.weight[:, :1])
        return moved + second @ layer.weight[:, 1:]

    # After the rectifier, the third layer has one number that is not 0 at most.
    size = Size(1, 512, (96, 65, 192, 2, 15), (0.0, 0.0, 0.0, None))
    assert layers_as_torch(reordered, size) < 4
    assert layers_as_torch(linear_layers, Size(1, 512, (2, 15), (None,))) == 1


def test_few_numbers_are_not_compared() -> None:
    """One number may be the same by chance."""
    assert layers_as_torch(linear_layers, Size(1, 1, (32, 1), (None,))) == 0
    assert layers_as_torch(linear_layers, Size(1, 2048, (32, 2), (None,))) == 1


class Watching(TorchDispatchMode):
    """A mode that sees operations of torch."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Call the operation."""
        return func(*args, **(kwargs or {}))


class Named(Tensor):
    """A tensor of a class of its own."""


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # of tangents, in torch
def test_what_torch_must_see_is_left_to_it(compute: Counted, fast: FastLayers) -> None:
    signal, layers = layers_of((4, 32, 20), 0.0)
    expected = linear_layers(signal, layers)
    weight = layers[0].weight.clone().requires_grad_()
    asked = [layers[0]._replace(weight=weight), layers[1]]
    doubles = [LinearLayer(w.double(), b.double(), slope) for w, b, slope in layers]
    turned = layers[0].weight.mT.contiguous().mT
    apart = signal.mT.contiguous().mT
    with fast:
        linear_layers(signal, asked).sum().backward()
        linear_layers(signal.double(), doubles)
        linear_layers(signal, [layers[0]._replace(weight=turned), layers[1]])
        linear_layers(apart, layers)
        linear_layers(torch._neg_view(signal), layers)
        linear_layers(signal.as_subclass(Named), layers)
        with Watching():
            linear_layers(signal, layers)
        with torch.autocast("cpu"):
            assert linear_layers(signal, layers).dtype == torch.bfloat16
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(signal, torch.ones_like(signal))
            found = linear_layers(dual, layers)
            assert forward_ad.unpack_dual(found).tangent is not None
        torch.vmap(lambda one: linear_layers(one, layers))(signal[None])
        assert compute.calls == []
        with torch.no_grad():
            found = linear_layers(signal, asked)
    assert compute.calls
    assert (bits(found) == bits(expected)).all()
    assert weight.grad is not None


def test_shapes_that_do_not_fit_are_left_to_torch(
    compute: Counted, fast: FastLayers
) -> None:
    """They are an error there, or are repeated along axes."""
    signal, ((weight, bias, slope), last) = layers_of((4, 32, 20), 0.0)
    wide = bias.expand(3, 101, 32).contiguous()
    allowed = [bias[:1], bias[:, :, :1].contiguous(), wide]
    expected = [
        linear_layers(signal, [LinearLayer(weight, one, slope)]) for one in allowed
    ]
    with fast:
        for one, outputs in zip(allowed, expected, strict=True):
            found = linear_layers(signal, [LinearLayer(weight, one, slope)])
            assert torch.equal(found, outputs)
        for inputs, layer in (
            (signal[:, :, :3].contiguous(), LinearLayer(weight, bias, slope)),
            (signal[:2], LinearLayer(weight, bias, slope)),
            (signal, LinearLayer(weight[:1], bias, slope)),
        ):
            with pytest.raises(RuntimeError):
                linear_layers(inputs, [layer])
        nothing = LinearLayer(weight[:0], bias[:0], slope)
        assert linear_layers(signal[:0], [nothing]).shape == (0, 101, 32)
        with pytest.raises(RuntimeError):
            linear_layers(signal, [last])
    assert compute.calls == []


def test_a_default_device_and_dtype_change_nothing(fast: FastLayers) -> None:
    signal, layers = layers_of((5, 48, 20), 0.2)
    expected = linear_layers(signal, layers)
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        with fast:
            found = linear_layers(signal, layers)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert (bits(found) == bits(expected)).all()


def test_small_layers_are_left_to_torch(
    compute: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal, layers = layers_of((4, 32, 20), 0.0)
    size = size_of(signal, layers)
    assert size == Size(3, 101, (4, 32, 20), (0.0, None))
    assert size.multiplications == 3 * 101 * (4 * 32 + 32 * 20)
    monkeypatch.setattr(c_layers, "LEAST", size.multiplications + 1)
    with FastLayers(lambda: compute):
        linear_layers(signal, layers)
    assert compute.calls == []


def test_without_a_compiler_or_memory_torch_computes(
    compute: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal, layers = layers_of((4, 32, 20), 0.0)
    expected = linear_layers(signal, layers)

    def no_compiler(library: str) -> None:
        raise OSError

    def no_memory(signal: Tensor, layers: Sequence[LinearLayer]) -> Tensor | None:
        return None

    with FastLayers(lambda: no_memory):
        assert torch.equal(linear_layers(signal, layers), expected)
    monkeypatch.setattr(c_layers, "library_functions", no_compiler)
    compiled_layers.cache_clear()
    try:
        assert compiled_layers() is None
        with FastLayers():
            assert torch.equal(linear_layers(signal, layers), expected)
    finally:
        compiled_layers.cache_clear()


def test_records_of_a_compiled_cell_have_the_same_bits(
    compute: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TASKS["four_gaussians"](hidden=32, batch=16)
    cell = Cell(
        task=task,
        algorithm=ALGORITHMS["gda"](step_size=0.01),
        seeds=(0, 1),
        steps=4,
        records=2,
        metrics=tuple(
            METRICS[name]() for name in ("mode_coverage", "sliced_wasserstein")
        ),
    )
    placement = Placement(compiled=True)
    found = []
    for context in (FastLayers(lambda: compute), nullcontext()):
        monkeypatch.setattr(chunk, "FastLayers", lambda context=context: context)
        found.append(run_cell(cell, placement))
    fast, slow = found
    assert fast.backend == slow.backend == "compiled"
    assert compute.calls
    assert fast.columns.keys() == slow.columns.keys()
    for name, column in fast.columns.items():
        assert column.tobytes() == slow.columns[name].tobytes(), name

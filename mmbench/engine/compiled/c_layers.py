"""Linear layers in C, where runs are measured: torch's bits in less time.

The steps of compiled cells are in C, their metrics are computed by torch. What these
take longest for are a network's layers with thousands of samples. In C a block of
samples goes through all layers before the next one does, and stays in the cache. Each
number of the library's product is one sum in the order of the inner axis, as torch's
are where a layer has many outputs. For which layers that is so, no document tells: for
each size a process compares the bits with those of torch once, and leaves to torch the
layers from the first one on that differs.
"""

import ctypes
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from itertools import pairwise
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmbench.engine.compiled.c_array_program import LIBRARY
from mmbench.engine.compiled.c_draws import is_watched
from mmbench.engine.compiled.c_kernels import library_functions
from mmbench.engine.compiled.c_operations import words_of_preamble
from mmbench.tasks._networks import LinearLayer, linear_layers

LEAST = 2**20  # multiplications of a call from which the library is faster

# Returns the outputs of layers, of inputs of shape (runs, rows, inputs).
Compute = Callable[[Tensor, Sequence[LinearLayer]], Tensor]


class Size(NamedTuple):
    """The size of layers and their inputs.

    Args:
        runs: networks, each with inputs of its own.
        rows: inputs of a network.
        widths: numbers of an input, and of an output of each layer.
        slopes: of the rectifier after each layer; None where there is none.
    """

    runs: int
    rows: int
    widths: tuple[int, ...]
    slopes: tuple[float | None, ...]

    @property
    def multiplications(self) -> int:
        """The multiplications of all products."""
        products = (before * after for before, after in pairwise(self.widths))
        return self.runs * self.rows * sum(products)


class FastLayers(TorchFunctionMode):
    """A context in which large float32 layers on a CPU are computed in C.

    These are calls of `linear_layers` of at least `LEAST` multiplications, whose
    gradient is not asked for. Other functions are torch's own, and so are calls within
    transforms, modes and traces of torch.

    Args:
        compute: the compiled function.
    """

    def __init__(self, compute: Compute) -> None:
        super().__init__()
        self._compute = compute

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute in C what can be, and else call the function."""
        if func is not linear_layers:
            return func(*args, **(kwargs or {}))
        signal, layers = args
        size = None if is_watched() else size_of(signal, layers)
        if size and size.multiplications >= LEAST:
            count = layers_as_torch(self._compute, size)
            if count:
                signal = self._compute(signal, layers[:count])
                layers = layers[count:]
        return linear_layers(signal, layers)


def fast_layers() -> AbstractContextManager[object]:
    """Return the context in which networks are measured.

    Returns:
        One in which nothing is computed in C, where there is no compiler.
    """
    compute = compiled_layers()
    return FastLayers(compute) if compute else nullcontext()


@cache
def compiled_layers() -> Compute | None:
    """Return the compiled function, or None where there is no compiler."""
    library = LIBRARY.substitute(words_of_preamble(torch.float32))
    try:
        function = library_functions(library).linear_layers
    except (OSError, CalledProcessError):
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [*[integer] * 3, *[pointer] * 7]
    function.restype = None

    def compute(signal: Tensor, layers: Sequence[LinearLayer]) -> Tensor:
        runs, rows, inputs = signal.shape
        count, widths = len(layers), [inputs, *(len(one.bias[0, 0]) for one in layers)]
        slopes = [one.slope for one in layers]
        kinds = [0 if slope is None else 2 if slope else 1 for slope in slopes]
        parameters = [part for one in layers for part in (one.weight, one.bias)]
        outputs = torch.empty(runs, rows, widths[-1], dtype=signal.dtype)
        function(
            *(runs, rows, count),
            (integer * len(widths))(*widths),
            (integer * count)(*kinds),
            (ctypes.c_float * count)(*(slope or 0.0 for slope in slopes)),
            (pointer * len(parameters))(*(one.data_ptr() for one in parameters)),
            (integer * len(parameters))(*(one.stride(0) for one in parameters)),
            *(signal.data_ptr(), outputs.data_ptr()),
        )
        return outputs

    return compute


def size_of(signal: Tensor, layers: Sequence[LinearLayer]) -> Size | None:
    """Return the size of layers; None where torch must compute them."""
    parameters = [part for one in layers for part in (one.weight, one.bias)]
    if signal.ndim != 3 or not signal.is_contiguous():
        return None
    for tensor in (signal, *parameters):
        if (
            type(tensor) is not Tensor
            or (tensor.dtype, tensor.device.type) != (torch.float32, "cpu")
            or not tensor[0].is_contiguous()
            or (tensor.requires_grad and torch.is_grad_enabled())
        ):
            return None
    runs, rows, inputs = signal.shape
    widths = (inputs, *(one.weight.shape[2] for one in layers))
    return Size(runs, rows, widths, tuple(one.slope for one in layers))


@cache
def layers_as_torch(compute: Compute, size: Size) -> int:
    """Return how many of the first layers of a size have the bits of torch in C.

    Args:
        compute: the compiled function.
        size: the size.
    """
    runs, rows, widths, slopes = size
    signal = _sines(runs, rows, widths[0])
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        weight, bias = _sines(runs, inputs, outputs), _sines(runs, 1, outputs)
        layer = [LinearLayer(weight, bias, slopes[number])]
        expected = linear_layers(signal, layer)
        found = compute(signal, layer)
        if not torch.equal(found.view(torch.int32), expected.view(torch.int32)):
            return number
        signal = expected
    return len(slopes)


def _sines(*shape: int) -> Tensor:
    """Return a tensor of numbers that differ: the sines of whole numbers."""
    return torch.arange(1.0, math.prod(shape) + 1).sin_().view(shape)

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
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from mmbench.engine.compiled.c_kernels import library_functions
from mmbench.engine.compiled.c_library import library_text
from mmbench.engine.compiled.replaced_functions import ReplacedFunctions, is_watched
from mmbench.tasks._networks import LinearLayer, linear_layers

LEAST = 2**20  # multiplications of a call from which the library is faster
COMPARED = 2**12  # numbers of a layer's outputs from which a comparison is a proof

# Returns the outputs of layers, of inputs of shape (runs, rows, inputs); None where
# there is no memory for it.
Compute = Callable[[Tensor, Sequence[LinearLayer]], Tensor | None]


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


class FastLayers(ReplacedFunctions):
    """A context in which large float32 layers on a CPU are computed in C.

    These are calls of `linear_layers` of at least `LEAST` multiplications, whose
    gradient is not asked for. Other functions are torch's own, and so are calls within
    transforms, modes and traces of torch, and where there is no compiler.

    Args:
        compiled: returns the compiled function, if there is one; it is called once
            there are large layers.
    """

    def __init__(self, compiled: Callable[[], Compute | None] | None = None) -> None:
        super().__init__()
        self._compiled = compiled or compiled_layers

    def compute(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor | None:
        """Return the outputs of layers; None where torch must compute all of them."""
        if func is not linear_layers:
            return None
        signal, layers = args
        size = size_of(signal, layers)
        if not size or size.multiplications < LEAST or _asks_for_more():
            return None
        in_c = self._compiled()
        count = layers_as_torch(in_c, size) if in_c else 0
        outputs = in_c(signal, layers[:count]) if in_c and count else None
        return None if outputs is None else linear_layers(outputs, layers[count:])


def _asks_for_more() -> bool:
    """Return whether torch would compute more than the outputs, or in another dtype."""
    # A tensor with a tangent looks like any other one.
    has_tangents = forward_ad._current_level >= 0  # noqa: SLF001
    return is_watched() or has_tangents or torch.is_autocast_enabled("cpu")


@cache
def compiled_layers() -> Compute | None:
    """Return the compiled function, or None where there is no compiler."""
    try:
        function = library_functions(library_text(is_single=True)).linear_layers
    except (OSError, CalledProcessError):
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [*[integer] * 3, *[pointer] * 6]
    function.restype = ctypes.c_int

    def compute(signal: Tensor, layers: Sequence[LinearLayer]) -> Tensor | None:
        runs, rows, inputs = signal.shape
        count, widths = len(layers), [inputs, *(one.weight.shape[2] for one in layers)]
        slopes = (math.nan if one.slope is None else one.slope for one in layers)
        parameters = [part for one in layers for part in (one.weight, one.bias)]
        outputs = signal.new_empty(runs, rows, widths[-1])
        is_done = function(
            *(runs, rows, count),
            (integer * len(widths))(*widths),
            (ctypes.c_float * count)(*slopes),
            (pointer * len(parameters))(*(one.data_ptr() for one in parameters)),
            (integer * len(parameters))(*(one.stride(0) for one in parameters)),
            *(signal.data_ptr(), outputs.data_ptr()),
        )
        return outputs if is_done else None

    return compute


def size_of(signal: Tensor, layers: Sequence[LinearLayer]) -> Size | None:
    """Return the size of layers; None where torch must compute them."""
    if not _is_plain(signal) or not signal.is_contiguous():
        return None
    runs, rows, inputs = signal.shape
    widths = [inputs]
    for weight, bias, _ in layers:
        if not _is_plain(weight) or not _is_plain(bias) or not runs:
            return None
        before, after = widths[-1], weight.shape[2]
        if weight.shape != (runs, before, after) or bias.shape != (runs, 1, after):
            return None
        if not weight[0].is_contiguous() or not bias[0].is_contiguous():
            return None
        widths.append(after)
    return Size(runs, rows, tuple(widths), tuple(one.slope for one in layers))


def _is_plain(tensor: Any) -> bool:
    """Return whether C can read a tensor, of which torch asks no gradient."""
    return (
        type(tensor) is Tensor
        and (tensor.dtype, tensor.device.type) == (torch.float32, "cpu")
        and tensor.ndim == 3
        and not tensor.is_neg()
        and not (tensor.requires_grad and torch.is_grad_enabled())
    )


@cache
def layers_as_torch(compute: Compute, size: Size) -> int:
    """Return how many of the first layers of a size have the bits of torch in C.

    Each is given numbers of its own: of what a layer before it has rectified, a row may
    have one number that is not 0, and then any order of a sum gives the same.

    Args:
        compute: the compiled function.
        size: the size.
    """
    runs, rows, widths, slopes = size
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        if runs * rows * outputs < COMPARED:
            return number
        signal = _sines(runs, rows, inputs)
        weight, bias = _sines(runs, inputs, outputs), _sines(runs, 1, outputs)
        layer = [LinearLayer(weight, bias, slopes[number])]
        expected, found = linear_layers(signal, layer), compute(signal, layer)
        if found is None or not torch.equal(
            found.view(torch.int32), expected.view(torch.int32)
        ):
            return number
    return len(slopes)


def _sines(*shape: int) -> Tensor:
    """Return a tensor of numbers that differ: the sines of whole numbers."""
    end = math.prod(shape) + 1
    numbers = torch.arange(1, end, dtype=torch.float32, device="cpu")
    return numbers.sin_().view(shape)

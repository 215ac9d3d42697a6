"""A pretended CUDA device: what steps would ask of the host, counted without a GPU.

    python -m benchmarks.device.pretended

Every operation is made twice: on tensors of the CPU, which have the values that the
host is answered with, and on fake tensors of torch, which have the device, so that an
operation on tensors of two devices is an error.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, Self
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.compare.cells import cell_of
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import arithmetic

STEPS = 16  # as many as there are values in a chunk of draws
GAN = "four_gaussians[hidden=8,noise=4,batch=8]"
IMAGES = "digits01[hidden=8,noise=4,batch=4]"
# Pairs of a game and a method that ask different things of the device.
PAIRS = (
    ("bilinear", "gda"),
    ("bilinear", "gda[step_size=2.0]"),  # diverges
    ("bilinear", "cgd"),
    ("bilinear", "alternating_gda"),
    ("quadratic", "acgd"),
    ("bilinear", "stackelberg"),
    ("quadratic", "sga"),
    ("dirac_gan", "gda[direction=adam]"),
    (GAN, "gda"),
    (GAN, "gda[direction=adam]"),
    (GAN, "extragradient[direction=adam]"),
    (GAN, "alternating_gda[direction=adam,k=2]"),
    (GAN, "cgd"),
    (GAN, "acgd"),
    (GAN, "unrolled"),
    (GAN, "accept_reject"),
    (IMAGES, "gda[direction=adam]"),
    (IMAGES, "acgd"),
)
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
META = torch.device("meta")  # where torch itself takes the tensors to be
aten = torch.ops.aten
# Operations whose result, or its shape, the host waits for.
LOOKS = (
    *(aten._local_scalar_dense.default, aten.equal.default),  # noqa: SLF001
    *(aten.nonzero.default, aten.bincount.default, aten._unique2.default),  # noqa: SLF001
)
COPIES = (aten._to_copy.default, aten.copy_.default)  # noqa: SLF001


class PretendedTensor(Tensor):
    """A tensor that says it is on a CUDA device.

    To torch it is one without data, since no such device can be asked.

    Args:
        here: the tensor of the CPU with its values.
    """

    here: Tensor

    def __new__(cls, here: Tensor) -> Self:
        made = Tensor._make_wrapper_subclass(  # noqa: SLF001
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=META,
        )
        made.here = here
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # noqa: SLF001

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any) -> Any:
        raise RuntimeError(f"{func} was asked of a device that is no longer pretended")

    @property
    def device(self) -> torch.device:
        return CUDA

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self) -> str:
        return f"PretendedTensor({self.here})"


class PretendedDevice(TorchDispatchMode):
    """Makes the operations of a pretended CUDA device, and counts them.

    Attributes:
        counts: "operations" other than views, "looks" of the host at a result,
            "copies" between the host and the device, and "replays" of captured pieces.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Make an operation."""
        words = kwargs or {}
        given = leaves((*args, *words.values()))
        tensors = [one for one in given if isinstance(one, Tensor)]
        goes_to = words.get("device")
        places = {one.device.type for one in tensors}
        if goes_to is not None:
            places.add("cpu" if goes_to.type == "cpu" else "cuda")
        if "cuda" not in places:
            return func(*args, **words)
        here = func(*mapped(on_cpu, args), **mapped(on_cpu, words))
        by_mask = func is aten.index.Tensor and any(
            one.dtype == torch.bool for one in tensors[1:]
        )
        if func in LOOKS or by_mask:
            self.counts["looks"] += 1
        elif func in COPIES and len(places) > 1:
            self.counts["copies"] += 1
            if goes_to == CPU:
                return here
        else:
            self.counts["operations"] += not func.is_view
            if torch.Tag.nondeterministic_seeded not in func.tags:
                _check_devices(func, *mapped(_form, (args, tuple(words.items()))))
        # An operation in place returns what it was given.
        known = {id(one.here): one for one in tensors if type(one) is PretendedTensor}

        def on_device(one: Any) -> Any:
            if not isinstance(one, Tensor):
                return one
            return known[id(one)] if id(one) in known else PretendedTensor(one)

        return mapped(on_device, here)


class _Form(NamedTuple):
    """What is known of a tensor without its values."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def _form(given: Any) -> Any:
    """Return the form of a tensor, and the device where torch takes it to be."""
    if isinstance(given, Tensor):
        return _Form(given.shape, given.stride(), given.dtype, given.device)
    return CUDA if type(given) is torch.device and given != CPU else given


@cache
def _check_devices(func: Any, args: tuple, kwargs: tuple) -> None:
    """Make an operation on fake tensors, which fails if it is on two devices."""

    def fake(one: Any) -> Any:
        if not isinstance(one, _Form):
            return one
        return torch.empty_strided(*one[:2], dtype=one.dtype, device=one.device)

    with FakeTensorMode():
        func(*mapped(fake, args), **dict(mapped(fake, kwargs)))


def on_cpu(given: Any) -> Any:
    """Return what stands for an argument on the CPU."""
    if type(given) is PretendedTensor:
        return given.here
    return CPU if type(given) is torch.device else given


def leaves(given: Any) -> list[Any]:
    """Return what nested tuples and lists consist of."""
    if type(given) in (tuple, list):
        return [leaf for one in given for leaf in leaves(one)]
    return [given]


def mapped(function: Callable[[Any], Any], given: Any) -> Any:
    """Apply a function to what nested tuples, lists and dicts consist of."""
    if type(given) in (tuple, list):
        return tuple(mapped(function, one) for one in given)
    if type(given) is dict:
        return {name: mapped(function, one) for name, one in given.items()}
    return function(given)


@contextmanager
def pretended_device() -> Iterator[PretendedDevice]:
    """Pretend that there is a CUDA device, within a block."""
    with (
        mock.patch("torch.cuda._lazy_init"),
        mock.patch("torch.cuda.synchronize"),
        PretendedDevice() as device,
    ):
        yield device


class Counted(NamedTuple):
    """What the host asked of a pretended device.

    Args:
        looks: in `STEPS` steps and the record after them.
        copies: between the host and the device, in the same.
        operations: a step that the host asks for one by one, rounded up.
        replays: of captured pieces a step, rounded up.
        recording: what was recorded of the runs.
        z: last iterates, as a tensor of the CPU.
    """

    looks: int
    copies: int
    operations: int
    replays: int
    recording: Recording
    z: Tensor


def counted(cell: Cell) -> Counted:
    """Compute a cell of 2 `STEPS` steps on a pretended device, and count."""
    with pretended_device() as device:
        return count(device, cell, Placement(CUDA))


def count(device: PretendedDevice, cell: Cell, place: Placement) -> Counted:
    """Compute a cell of 2 `STEPS` steps in a place, and count.

    Args:
        device: the pretended device, within its block.
        cell: the cell.
        place: device, and whether steps are captured.
    """
    seen: dict[int, Counter[str]] = {}
    recording = Recording(cell, cell.seeds)
    with arithmetic(CUDA):
        chunk = Chunk(cell, place, len(cell.seeds), recording, None)

        def note(_: int, recorded: Recording | None) -> None:
            if recorded and recorded.steps:
                seen.setdefault(recorded.steps[-1], device.counts.copy())

        chunk.compute(note)
    found = seen[2 * STEPS] - seen[STEPS]
    each = (-(-found[name] // STEPS) for name in ("operations", "replays"))
    return Counted(found["looks"], found["copies"], *each, recording, chunk.z.here)


def small_cell(task: str, method: str) -> Cell:
    """Return a cell of three runs that has records after `STEPS` and twice as many."""
    return cell_of(task, method, runs=3, steps=2 * STEPS, records=2)


def main() -> None:
    """Print what methods ask of the host."""
    print(
        "| game | method | looks | copies | operations a step |\n|---|---|--:|--:|--:|"
    )
    for task, method in PAIRS:
        found = counted(small_cell(task, method))
        numbers = f"{found.looks} | {found.copies} | {found.operations}"
        print(f"| {task} | {method} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()

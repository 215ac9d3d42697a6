"""A stand-in for CUDA graphs: operations are recorded and replayed without a GPU.

    python -m benchmarks.device.recorded

What is asked of torch within a capture is noted, and made again at each replay in the
same memory, as a captured graph does it; the code does not run again. It may ask
nothing that a capture forbids. What a capture computes has no values until it is
replayed. What nothing refers to at the end of a capture is overwritten after each
replay of it or of a later one, which may have the same memory.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from benchmarks.device.pretended import (
    COPIES,
    CUDA,
    LOOKS,
    PAIRS,
    Counted,
    PretendedDevice,
    count,
    leaves,
    mapped,
    on_cpu,
    pretended_device,
    small_cell,
)
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.compiled import block
from mmbench.engine.compiled.cuda_graphs import Function


@contextmanager
def recorded_graphs() -> Iterator[PretendedDevice]:
    """Pretend that there is a CUDA device that captures steps, within a block."""
    block.clear_blocks()
    with (
        pretended_device() as device,
        mock.patch("torch.cuda.get_device_name", return_value="pretended"),
        mock.patch.object(
            block, "CudaGraphs", partial(RecordedGraphs, counts=device.counts)
        ),
    ):
        yield device
    block.clear_blocks()


class RecordedGraphs:
    """Records operations; the interface of `CudaGraphs`.

    Args:
        device: device of the tensors, or a pretended one.
        counts: where "replays" are counted; None for a counter of its own.

    Attributes:
        made: the last object of this class.
        operations: of each capture, other than views.
    """

    made: Self

    def __init__(
        self, device: torch.device, counts: Counter[str] | None = None
    ) -> None:
        self.operations: list[int] = []
        self._counts = Counter() if counts is None else counts
        self._memory = _Memory()
        type(self).made = self

    @property
    def replays(self) -> int:
        """The number of replays."""
        return self._counts["replays"]

    def warm_up(self, function: Function) -> None:
        """Call a function."""
        function()

    @contextmanager
    def capturing(self) -> Iterator[Function]:
        """Capture what is computed within a block, as a replay of its operations."""
        recorder, free = _Recorder(self._memory), list[Tensor]()

        def replay() -> None:
            self._counts["replays"] += 1
            recorder.replay()
            spoil(free)

        with recorder:
            yield replay
        self.operations.append(recorder.count)
        spoil(recorder.computed)
        free += self._memory.find_free()


class _Memory:
    """The memory of what captures have computed, and which tensors refer to it."""

    def __init__(self) -> None:
        self._referring = WeakTensorKeyDictionary()
        self._kept: dict[int, Tensor] = {}  # by the address of the memory
        self._free: list[Tensor] = []

    def note(self, tensor: Tensor, *, is_new: bool) -> None:
        """Note a tensor that refers to memory."""
        address = on_cpu(tensor).untyped_storage().data_ptr()
        if is_new:
            self._kept[address] = twin(tensor)
        self._referring[tensor] = address

    def find_free(self) -> list[Tensor]:
        """Return what no tensor refers to, of all captures until now."""
        referred_to = set(self._referring.values())
        for address in self._kept.keys() - referred_to:
            self._free.append(self._kept.pop(address))
        return self._free


class _Recorder(TorchDispatchMode):
    """Notes operations as they are made.

    Args:
        memory: of what they compute.

    Attributes:
        count: of the operations other than views.
        computed: what they have computed in new memory.
    """

    def __init__(self, memory: _Memory) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self._memory = memory
        self.computed: list[Tensor] = []
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Make and note an operation."""
        words = kwargs or {}
        given = [one for one in leaves((*args, *words.values())) if _is_tensor(one)]
        made = func(*args, **words)
        out = [one for one in leaves(made) if _is_tensor(one)]
        is_copied = len({one.device for one in (*given, *out)}) > 1
        if func in LOOKS or (func in COPIES and is_copied):
            raise RuntimeError(f"{func} is not permitted while a step is captured")
        known = {id(one) for one in given}
        fresh = [one for one in out if id(one) not in known]
        for one in fresh:
            self._memory.note(one, is_new=not func.is_view)
        if func.is_view:  # of the same memory at each replay
            return made
        self.count += 1
        twins = [twin(one) for one in fresh]
        self.computed += twins
        self._operations.append((func, mapped(twin, args), mapped(twin, words), twins))
        return made

    def replay(self) -> None:
        """Make all operations again, in the same memory."""
        for func, args, words, fresh in self._operations:
            made = func(*args, **words)
            found = [one for one in leaves(made) if _is_tensor(one)]
            for before, after in zip(fresh, found, strict=bool(fresh)):
                before.copy_(after)


def twin(given: Any) -> Any:
    """Return what stands for an argument on the CPU, without referring to it."""
    return on_cpu(given).detach() if _is_tensor(given) else on_cpu(given)


def spoil(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors, as a graph may."""
    for one in tensors:
        one.fill_(float("nan") if one.dtype.is_floating_point else True)


def _is_tensor(one: Any) -> bool:
    return isinstance(one, Tensor)


def counted(cell: Cell) -> Counted:
    """Compute a cell of 2 `STEPS` captured steps, and count."""
    with recorded_graphs() as device:
        return count(device, cell, Placement(CUDA, compiled=True))


def main() -> None:
    """Print what methods ask of the host where their steps are captured."""
    print(
        "| game | method | looks | copies | operations a step | replays a step |\n"
        "|---|---|--:|--:|--:|--:|"
    )
    for task, method in PAIRS:
        found = counted(small_cell(task, method))
        numbers = " | ".join(str(one) for one in found[:4])
        is_captured = found.recording.backend == "captured"
        print(f"| {task} | {method} | {numbers if is_captured else 'not captured'} |")


if __name__ == "__main__":
    main()

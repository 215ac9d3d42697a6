"""A stand-in for CUDA graphs: functions are recorded and replayed without a GPU.

What a function asks of torch is noted, and made again at each replay in the same
memory, as a captured graph does it; its code does not run again. It may ask nothing
that a capture forbids. Between replays, what was computed on the way is overwritten.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.device.pretended import (
    COPIES,
    LOOKS,
    PretendedDevice,
    leaves,
    mapped,
    on_cpu,
    pretended_device,
)
from mmbench.engine.compiled import block
from mmbench.engine.compiled.cuda_graphs import Function


@contextmanager
def recorded_graphs() -> Iterator[PretendedDevice]:
    """Pretend that there is a CUDA device that captures steps, within a block."""
    block.clear_blocks()
    with (
        pretended_device() as device,
        mock.patch("torch.cuda.get_device_name", return_value="pretended"),
        mock.patch.object(block, "CudaGraphs", RecordedGraphs),
    ):
        yield device
    block.clear_blocks()


class RecordedGraphs:
    """Records functions; the interface of `CudaGraphs`.

    Args:
        device: device of the tensors, or a pretended one.

    Attributes:
        made: the last object of this class.
        operations: of each recorded function, other than views.
        replays: the number of replays.
    """

    made: Self

    def __init__(self, device: torch.device) -> None:
        self.operations: list[int] = []
        self.replays = 0
        type(self).made = self

    def warm_up(self, function: Function) -> None:
        """Call a function."""
        function()

    def capture(self, function: Function) -> Function:
        """Return what a function does, as a replay of its operations."""
        with _Recorder() as recorder:
            function()
        recorder.spoil()
        self.operations.append(recorder.count)

        def replay() -> None:
            self.replays += 1
            recorder.replay()

        return replay


class _Recorder(TorchDispatchMode):
    """Notes operations as they are made.

    Attributes:
        count: of the operations other than views.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
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
        if func.is_view:  # of the same memory at each replay
            return made
        self.count += 1
        known = {id(one) for one in given}
        fresh = [one for one in out if id(one) not in known]
        self._operations.append((func, args, words, fresh))
        return made

    def replay(self) -> None:
        """Make all operations again, in the same memory."""
        for func, args, words, fresh in self._operations:
            made = func(*mapped(on_cpu, args), **mapped(on_cpu, words))
            found = [one for one in leaves(made) if _is_tensor(one)]
            for before, after in zip(fresh, found, strict=bool(fresh)):
                on_cpu(before).copy_(after)
        self.spoil()

    def spoil(self) -> None:
        """Overwrite what was computed on the way, as a graph may."""
        for *_, fresh in self._operations:
            for one in fresh:
                on_cpu(one).fill_(float("nan") if one.dtype.is_floating_point else True)


def _is_tensor(one: Any) -> bool:
    return isinstance(one, Tensor)

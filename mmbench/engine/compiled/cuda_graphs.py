"""CUDA graphs: all of captured steps that a CUDA device alone can do."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

Function = Callable[[], None]  # computes in memory that it was given once


@runtime_checkable
class Graphs(Protocol):
    """What captures functions, so that they can be replayed without their code."""

    def warm_up(self, function: Function) -> None:
        """Call a function that will be captured; libraries make their memory then."""

    def capture(self, function: Function) -> Function:
        """Return what a function does, as one launch: it reads the same memory."""


class CudaGraphs:
    """Captures functions as CUDA graphs, whose intermediate values share memory.

    So they must be replayed one after the other.

    Args:
        device: the CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # A stream that others wait for cannot be captured, as the default one is.
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, function: Function) -> None:
        """Call a function on the stream on which it is captured."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                function()
        finally:
            current.wait_stream(self._stream)

    def capture(self, function: Function) -> Function:
        """Return what a function does, as the launch of a graph."""
        graph = torch.cuda.CUDAGraph()
        # Meanwhile other threads may draw into pinned memory, which makes calls of CUDA
        # that a capture forbids in its own thread.
        mode = "thread_local"
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, self._pool, self._stream, mode),
        ):
            function()
        return graph.replay

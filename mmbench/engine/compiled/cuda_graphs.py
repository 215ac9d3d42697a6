"""CUDA graphs: all of captured steps that a CUDA device alone can do."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

import torch

Function = Callable[[], None]  # computes in memory that it was given once


@runtime_checkable
class Graphs(Protocol):
    """What captures operations, so that they can be replayed without their code."""

    def warm_up(self, function: Function) -> None:
        """Call a function that will be captured; libraries make their memory then."""

    def capturing(self) -> AbstractContextManager[Function]:
        """Capture what is computed within a block, instead of computing it.

        Returns:
            A context manager, which gives what is captured as one launch. It reads the
            same memory. What is still referred to at the end of the block keeps its
            memory, so that later captures read it.
        """


class CudaGraphs:
    """Captures operations as CUDA graphs, whose intermediate values share memory.

    So they must be replayed one after the other, in the order of their captures; one
    may be replayed several times before the next.

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

    @contextmanager
    def capturing(self) -> Iterator[Function]:
        """Capture what is computed within a block, as the launch of a graph."""
        graph = torch.cuda.CUDAGraph()
        # Meanwhile other threads may draw into pinned memory, which makes calls of CUDA
        # that a capture forbids in its own thread.
        mode = "thread_local"
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, self._pool, self._stream, mode),
        ):
            yield graph.replay

"""Limits of a cell and the workers that compute it; neither changes its key."""

from typing import NamedTuple

# Time for a scheduler to get workers, when it has none or lost all, and to answer.
NO_WORKERS_SECONDS = 120


class Limits(NamedTuple):
    """What a cell may take; None means no limit.

    Args:
        timeout: seconds, from its start.
        memory: bytes that its process holds, those of the program itself included.
    """

    timeout: float | None = None
    memory: int | None = None

    def __bool__(self) -> bool:
        return self.timeout is not None or self.memory is not None


class Workers(NamedTuple):
    """The worker processes that compute cells.

    Args:
        processes: the most worker processes on this machine; with 1, this process
            computes; 0 means one for each core or GPU, where the work is worth it.
        scheduler: address of a Dask scheduler or its scheduler file, whose workers
            compute; empty for none.
    """

    processes: int = 1
    scheduler: str = ""

"""Limits: what a cell may take, and who computes it; no part of what it is."""

from typing import NamedTuple


class Limits(NamedTuple):
    """What a cell may take; None is no limit.

    Args:
        timeout: seconds, from its beginning.
        memory: bytes that its process holds, what the program itself needs included.
    """

    timeout: float | None = None
    memory: int | None = None

    def __bool__(self) -> bool:
        return self.timeout is not None or self.memory is not None


class Workers(NamedTuple):
    """Who computes.

    Args:
        processes: worker processes on this machine; 0 for none.
        scheduler: address of a Dask scheduler, or its scheduler file; or none.
    """

    processes: int = 0
    scheduler: str = ""

    def __bool__(self) -> bool:
        return self.processes > 0 or bool(self.scheduler)

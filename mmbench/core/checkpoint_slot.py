"""Places that keep a checkpoint, whatever it holds; see `mmbench.core.checkpoint`."""

from abc import ABC, abstractmethod

INTERVAL_SECONDS = 60.0  # to compute a minute of work again costs little


class CheckpointSlot(ABC):
    """A place to keep one checkpoint of one cell, such as a file.

    Attributes:
        interval_seconds: time between two checkpoints.
    """

    interval_seconds: float = INTERVAL_SECONDS

    @abstractmethod
    def read(self) -> bytes | None:
        """Return the checkpoint that was written last; None where there is none."""

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Replace the checkpoint."""

    @abstractmethod
    def remove(self) -> None:
        """Delete the checkpoint, if there is one."""

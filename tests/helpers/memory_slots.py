"""Checkpoints in memory, with a kill at a given one."""

from mmbench.core.checkpoint_slot import CheckpointSlot


class Killed(BaseException):
    """The end of the process, which the engine must not catch."""


class MemorySlot(CheckpointSlot):
    """A checkpoint slot in memory, written every step, that raises at a given write."""

    interval_seconds = 0.0

    def __init__(self, raises_at: int = -1) -> None:
        self.content: bytes | None = None
        self.written, self.raises_at = 0, raises_at

    def read(self) -> bytes | None:
        """Return what was written last."""
        return self.content

    def write(self, content: bytes) -> None:
        """Keep the content, and raise at the given write."""
        self.content = content
        self.written += 1
        if self.written == self.raises_at:
            raise Killed

    def remove(self) -> None:
        """Forget the checkpoint."""
        self.content = None

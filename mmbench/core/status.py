"""Statuses: how a run ended."""

from enum import StrEnum


class Status(StrEnum):
    """How a run ended; failed runs stay in the statistics like all others."""

    FINISHED = "finished"
    CONVERGED = "converged"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    NONFINITE = "nonfinite"
    TIMEOUT = "timeout"
    MEMORY = "out of memory"
    ERROR = "error"
    RUNNING = "running"

    @property
    def meaning(self) -> str:
        """What the status means, in one sentence for reports."""
        return _MEANINGS[self]

    @property
    def is_failure(self) -> bool:
        """Whether the run broke down before its budget was spent."""
        return self in (Status.DIVERGED, Status.NONFINITE, *Status.cell_failures())

    @classmethod
    def cell_failures(cls) -> tuple["Status", ...]:
        """Return the statuses of runs that ended because their whole cell failed."""
        return cls.TIMEOUT, cls.MEMORY, cls.ERROR


_MEANINGS = {
    Status.FINISHED: "The budget was spent and the task's target did not hold.",
    Status.CONVERGED: (
        "The task's target held at the last three records or more; the step is the "
        "first record of that streak."
    ),
    Status.STOPPED: "The algorithm stopped by itself.",
    Status.DIVERGED: "An entry of the next iterate would have passed the task's limit.",
    Status.NONFINITE: "The next iterate would have held a NaN or an infinity.",
    Status.TIMEOUT: "The cell took longer than it was allowed to.",
    Status.MEMORY: "The cell needed more memory than there was or was allowed.",
    Status.ERROR: "An exception ended the cell; its text is the reason.",
    Status.RUNNING: (
        "The cell is not finished; its numbers are those of its last checkpoint."
    ),
}

"""Status: how a run ended."""

from enum import StrEnum


class Status(StrEnum):
    """How a run ended; every run, dead ones included, stays in the statistics."""

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
        """One sentence for reports."""
        return _MEANINGS[self]

    @property
    def dead(self) -> bool:
        """Whether the run broke down before its budget was spent."""
        return self in (Status.DIVERGED, Status.NONFINITE, *Status.ended())

    @classmethod
    def ended(cls) -> tuple["Status", ...]:
        """Those of runs that something other than their own numbers ended."""
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

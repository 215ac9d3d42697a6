"""Statuses of runs."""

from mmbench.core.status import Status


def test_statuses_have_meanings() -> None:
    """Each status has a sentence, and those of broken runs are marked as dead."""
    assert all(status.meaning.endswith(".") for status in Status)
    dead = {status for status in Status if status.dead}
    numbers = {Status.DIVERGED, Status.NONFINITE}
    assert dead == numbers | {Status.TIMEOUT, Status.MEMORY, Status.ERROR}
    assert str(Status.NONFINITE) == "nonfinite"

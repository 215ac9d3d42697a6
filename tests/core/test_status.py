"""Statuses: their meanings, and which of them are failures."""

from mmbench.core.status import Status


def test_statuses_have_meanings() -> None:
    """Each status has a sentence; those of broken runs are failures."""
    assert all(status.meaning.endswith(".") for status in Status)
    failures = {status for status in Status if status.is_failure}
    numerical = {Status.DIVERGED, Status.NONFINITE}
    assert failures == numerical | {Status.TIMEOUT, Status.MEMORY, Status.ERROR}
    assert str(Status.NONFINITE) == "nonfinite"

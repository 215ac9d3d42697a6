"""Processes that are started before they are needed."""

import psutil

from mmbench.runner import spare_children


def test_a_process_that_was_started_ahead_is_taken() -> None:
    """The first to ask gets it; the others start their own; none is left."""
    with spare_children.start_ahead(2):
        (first, second) = spare_children._spare
        spare_children.end(second)  # it died meanwhile
        assert spare_children.take() is first
        other = spare_children.take()
        assert other is not second
        assert first.poll() is other.poll() is None
    for process in (first, other):
        spare_children.end(process)
    with spare_children.start_ahead(1):
        (unused,) = spare_children._spare
    assert not psutil.pid_exists(unused.pid)
    assert not spare_children._spare

"""Leases: one holder at a time, and none that is dead."""

import os
import socket
import time
from pathlib import Path

import pytest
from leases import dead_pid, leave_lease

from mmbench.store import lease
from mmbench.store.lease import STALE_SECONDS, holder, is_held, leased


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a lease may lie."""
    return tmp_path / "key.lease"


def test_one_holder_at_a_time(path: Path) -> None:
    """The second does not get it; afterwards the file is gone and anyone may."""
    with leased(path) as first:
        with leased(path) as second:
            assert (first, second) == (True, False)
        assert is_held(path)
        assert holder(path)["pid"] == os.getpid()
        assert holder(path)["host"] == socket.gethostname()
    assert not path.exists()
    with leased(path) as third:
        assert third


def test_an_exception_gives_it_back(path: Path) -> None:
    """Ctrl-C too."""
    with pytest.raises(KeyboardInterrupt), leased(path):
        raise KeyboardInterrupt
    assert not path.exists()


def test_the_dead_hold_nothing(path: Path) -> None:
    """A process of this machine that has ended, whenever it was."""
    leave_lease(path, socket.gethostname(), dead_pid())
    assert not is_held(path)
    with leased(path) as ours:
        assert ours


@pytest.mark.parametrize(
    ("age", "counts"),
    [(0, True), (STALE_SECONDS / 2, True), (2 * STALE_SECONDS, False)],
)
@pytest.mark.parametrize("clock", [1, -1])
def test_other_machines_hold_it_while_they_touch_it(
    path: Path, age: float, counts: bool, clock: int
) -> None:
    """Until it was not touched for long; whichever clock is ahead."""
    leave_lease(path, "other", 1, clock * age)
    assert is_held(path) is counts
    with leased(path) as ours:
        assert ours is not counts


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', "\0"])
def test_what_cannot_be_read_holds_as_long(path: Path, text: str) -> None:
    """A lease that is being written, or was damaged, blocks nobody for ever."""
    path.write_text(text)
    assert is_held(path)
    os.utime(path, (0, 0))
    assert not is_held(path)


def test_the_holder_touches_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a step of the work takes."""
    monkeypatch.setattr(lease, "TOUCH_SECONDS", 0.01)
    with leased(path):
        os.utime(path, (0, 0))
        end = time.monotonic() + 5
        while not is_held(path) and time.monotonic() < end:
            time.sleep(0.01)
        assert is_held(path)


def test_a_lease_that_another_took_is_left_to_it(path: Path) -> None:
    """A holder that was thought dead does not remove its heir's."""
    with leased(path):
        leave_lease(path, "other", 1)
    assert holder(path)["token"] == "another"


def test_a_place_without_writing_stops_nothing(tmp_path: Path) -> None:
    """Where no lease can be made nobody else can write either."""
    with leased(tmp_path / "no" / "key.lease") as ours:
        assert ours

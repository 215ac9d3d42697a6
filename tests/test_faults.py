"""A part of the fault campaign, which is in `tests/slow`: four trials."""

import os
import random
import signal
import time
from pathlib import Path

import faulty
import pytest
from faulty import Command

from mmbench.analysis.results import load
from mmbench.store.folder import Store


def table(folder: Path) -> str:
    """All that is stored, without the clock."""
    return load(folder / "store").drop(columns="cell_seconds").to_csv()


def wait_for_checkpoint(command: Command, folder: Path) -> None:
    """Until a cell at work has left one; it is harmed in the midst of that cell."""
    end = time.monotonic() + faulty.PATIENCE
    while not list((folder / "store").rglob("*.checkpoint")):
        assert command.process.poll() is None, command.said.read_text()
        assert time.monotonic() < end
        time.sleep(0.01)


def kill_main(command: Command) -> None:
    """As the kernel does when memory is short."""
    command.process.kill()


def interrupt(command: Command) -> None:
    """As a terminal does: the whole group hears it."""
    os.killpg(command.process.pid, signal.SIGINT)


def terminate(command: Command) -> None:
    """As a batch system does."""
    command.process.terminate()


def kill_worker(command: Command) -> None:
    """One of two; the other goes on with its cell."""
    assert faulty.kill_one(command, "spawn_main", random.Random(0))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The table of the short suite with a cell that hangs."""
    folder = faulty.folder_of(
        tmp_path_factory.mktemp("undisturbed"), "Hanging", faulty.SHORT
    )
    code, said = faulty.finished(faulty.started(folder, ("--timeout", "8")))
    assert code == 1, said  # for a cell raises
    return table(folder)


@pytest.mark.parametrize(
    ("harm", "options", "code"),
    [
        (kill_main, ("--timeout", "8"), -9),
        (terminate, ("--timeout", "8"), 130),
        (interrupt, ("--workers", "2", "--timeout", "8"), 130),
        (kill_worker, ("--workers", "2", "--timeout", "8"), 1),
    ],
)
def test_the_same_command_finishes_the_work(
    tmp_path: Path, undisturbed: str, harm, options: tuple[str, ...], code: int
) -> None:
    """From its checkpoint, with the same bytes, nothing twice and nothing left over."""
    folder = faulty.folder_of(tmp_path, "Hanging", faulty.SHORT)
    command = faulty.started(folder, options)
    wait_for_checkpoint(command, folder)
    harm(command)
    assert faulty.finished(command)[0] == code
    store = Store(folder / "store")
    before = faulty.sound(store)
    again, said = faulty.finished(faulty.started(folder, options))
    assert again == 1, said
    assert table(folder) == undisturbed
    assert {key: faulty.sound(store)[key] for key in before} == before

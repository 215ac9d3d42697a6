"""Four trials of the fault campaign, which is in `tests/slow`."""

import os
import random
import signal
import time
from pathlib import Path

import fault_trials
import pytest
from fault_trials import Command

from mmbench.analysis.results import load
from mmbench.store.folder import Store


def table(folder: Path) -> str:
    """Return the stored table without wall-clock times."""
    return load(folder / "store").drop(columns="cell_seconds").to_csv()


def wait_for_checkpoint(command: Command, folder: Path) -> None:
    """Wait until a cell has a checkpoint, so that the fault is in the middle of it."""
    end = time.monotonic() + fault_trials.COMMAND_TIMEOUT_SECONDS
    while not list((folder / "store").rglob("*.checkpoint")):
        assert command.process.poll() is None, command.output.read_text()
        assert time.monotonic() < end
        time.sleep(0.01)


def kill_main(command: Command) -> None:
    """Kill the command, as the kernel does when memory is short."""
    command.process.kill()


def interrupt(command: Command) -> None:
    """Send SIGINT to the process group, as a terminal does."""
    os.killpg(command.process.pid, signal.SIGINT)


def terminate(command: Command) -> None:
    """Terminate the command, as a batch system does."""
    command.process.terminate()


def kill_worker(command: Command) -> None:
    """Kill one of two workers; the other goes on with its cell."""
    assert fault_trials.kill_process(
        command, "mmbench.runner.guardian", random.Random(0)
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the table of the short suite with a cell that hangs."""
    folder = fault_trials.write_suite(
        tmp_path_factory.mktemp("undisturbed"), "Hanging", fault_trials.SHORT
    )
    code, output = fault_trials.wait_for(
        fault_trials.start_command(folder, ("--timeout", "8"))
    )
    assert code == 1, output  # for a cell raises
    return table(folder)


@pytest.mark.parametrize(
    ("cause_fault", "options", "code"),
    [
        pytest.param(kill_main, ("--timeout", "8"), -9, marks=pytest.mark.slow),
        pytest.param(terminate, ("--timeout", "8"), 130, marks=pytest.mark.slow),
        pytest.param(
            interrupt, ("--workers", "2", "--timeout", "8"), 130, marks=pytest.mark.slow
        ),
        pytest.param(
            kill_worker, ("--workers", "2", "--timeout", "8"), 1, marks=pytest.mark.slow
        ),
    ],
)
def test_the_same_command_finishes_the_work(
    tmp_path: Path, undisturbed: str, cause_fault, options: tuple[str, ...], code: int
) -> None:
    """It goes on from the checkpoint, to the same bytes, and computes no cell twice."""
    folder = fault_trials.write_suite(tmp_path, "Hanging", fault_trials.SHORT)
    command = fault_trials.start_command(folder, options)
    wait_for_checkpoint(command, folder)
    cause_fault(command)
    assert fault_trials.wait_for(command)[0] == code
    store = Store(folder / "store")
    before = fault_trials.complete_cells(store)
    again, output = fault_trials.wait_for(fault_trials.start_command(folder, options))
    assert again == 1, output
    assert table(folder) == undisturbed
    assert {key: fault_trials.complete_cells(store)[key] for key in before} == before

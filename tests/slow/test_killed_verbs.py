"""Verbs killed at a random moment, and processes stopped for longer than a lease.

After each, the store is whole, and the same command ends with what an undisturbed one
leaves; no process and no temporary file is left.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import fault_trials
import pytest
from fault_trials import SHORT, Command

from mmbench.store.folder import Store

STALE_SECONDS = 4.0  # in the commands of these trials
# The command line, with a lease that is given up sooner.
QUICK_LEASE = f"""
import mmbench.store.lease as lease
lease.STALE_SECONDS, lease.TOUCH_SECONDS = {STALE_SECONDS}, 0.5
from mmbench.cli import main
main(prog_name="mmbench")
"""
VERBS = {
    "merge": "store merge other --store store",
    "import": "store import other.zip --store store",
    "rm": "store rm --all --yes --store store",
    "export": "store export --store other --out out.zip",
    "report": "report suite.toml --store other --out page",
    "results": "results suite.toml --store other --out table.csv",
    "features": "features train digits --epochs 1 --out weights.safetensors",
}
TIMES = {"features": 2, "report": 4, "results": 3}  # of 6
KILLED = [(verb, i) for verb in VERBS for i in range(TIMES.get(verb, 6))]
STOPPED = [(way, i) for way in ((), ("--timeout", "300")) for i in range(5)]


def started(folder: Path, *words: str) -> Command:
    """Start a command whose processes can be found, and whose leases are short."""
    token, output = uuid.uuid4().hex, folder / f"output-{uuid.uuid4().hex[:6]}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", QUICK_LEASE, *words],
            cwd=folder,
            env=fault_trials.environment(token),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Command(process, token, output)


def content(folder: Path) -> dict[str, bytes]:
    """Return what a verb left, without the outputs and inputs of the trial."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith("output-")
        and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the suite, its store `other`, and an archive of it."""
    folder = tmp_path_factory.mktemp("computed")
    fault_trials.write_suite(folder, suite=SHORT)
    command = fault_trials.start_command(folder, (), store="other")
    code, output = fault_trials.wait_for(command)
    assert code == 1, output  # for one cell raises
    words = ("run", "-t", "bilinear", "-t", "quadratic", "-t", "dirac_gan")
    words += ("-a", "gda", "-a", "omd", "-a", "cgd", "--seeds", "4", "--steps", "50")
    fault_trials.output_of(folder, *words, "--keep", "all", "--store", "other")
    fault_trials.output_of(
        folder, "store", "export", "--store", "other", "--out", "other.zip"
    )
    for output_file in folder.glob("output-*"):
        output_file.unlink()
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    computed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[float, dict[str, bytes]]]:
    """Return a function that gives the seconds of a verb, and what it leaves."""
    known: dict[str, tuple[float, dict[str, bytes]]] = {}

    def of(verb: str) -> tuple[float, dict[str, bytes]]:
        if verb not in known:
            folder = tmp_path_factory.mktemp(verb) / "trial"
            prepare(computed, folder, verb)
            begun = time.monotonic()
            code, output = fault_trials.wait_for(started(folder, *VERBS[verb].split()))
            assert code == 0, output
            known[verb] = time.monotonic() - begun, content(folder)
        return known[verb]

    return of


def prepare(computed: Path, folder: Path, verb: str) -> None:
    """Make the folder in which a verb is tried."""
    shutil.copytree(computed, folder)
    if verb == "rm":
        shutil.copytree(folder / "other", folder / "store")


@pytest.mark.parametrize(("verb", "number"), KILLED)
def test_a_killed_verb_is_run_again(
    verb: str,
    number: int,
    computed: Path,
    undisturbed: Callable[[str], tuple[float, dict[str, bytes]]],
    tmp_path: Path,
) -> None:
    """Whatever it was doing."""
    seconds, expected = undisturbed(verb)
    chance, folder = random.Random(f"{verb} {number}"), tmp_path / "trial"
    for _ in range(6):
        shutil.rmtree(folder, ignore_errors=True)
        prepare(computed, folder, verb)
        command = started(folder, *VERBS[verb].split())
        time.sleep(seconds * chance.uniform(0.3, 1.0))
        command.process.kill()
        code, output = fault_trials.wait_for(command)
        if code == -signal.SIGKILL:
            break
    else:
        pytest.fail("The command ended each time before it was killed.")
    for name in ("store", "other"):
        if (folder / name).is_dir():
            store = Store(folder / name)
            assert [store.faults(key) for key in store if store.faults(key)] == []
    code, output = fault_trials.wait_for(started(folder, *VERBS[verb].split()))
    assert code == 0, output
    for name in ("store", "other"):
        if (folder / name).is_dir():
            repair(folder, name)
    found = {
        key: value for key, value in content(folder).items() if key[-5:] != ".part"
    }
    assert found.keys() == expected.keys()
    assert {name for name in found if found[name] != expected[name]} == set()
    print(f"{verb} {number}: killed, whole, run again.")


def repair(folder: Path, name: str) -> None:
    """Delete what ended processes left, which a repair does when it is old."""
    for path in (folder / name).rglob("*"):
        os.utime(path, (time.time() - 1000,) * 2)
    fault_trials.output_of(folder, "store", "check", "--store", name, "--repair")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the table of an undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    fault_trials.write_suite(folder, suite=SHORT)
    code, output = fault_trials.wait_for(fault_trials.start_command(folder, ()))
    assert code == 1, output
    return fault_trials.table_of(folder)


@pytest.mark.parametrize(("way", "number"), STOPPED)
def test_a_process_stopped_longer_than_its_lease(
    way: tuple[str, ...], number: int, table: bytes, tmp_path: Path
) -> None:
    """Continued, it changes nothing that another has computed meanwhile."""
    folder = fault_trials.write_suite(tmp_path, suite=SHORT)
    words = ("run", "suite.toml", "--store", "store", *way)
    chance = random.Random(f"{way} {number}")
    first = started(folder, *words)
    assert fault_trials.wait_until_computing(first, folder / "store")
    time.sleep(chance.uniform(0, 1.5))
    stopped = fault_trials.processes_of(first.token)
    for process in stopped:
        process.suspend()
    # One that has no more than its end before it is no trial, but must do no harm.
    store = Store(folder / "store")
    code, output = fault_trials.wait_for(started(folder, *words))
    assert code == 1, output
    before = fault_trials.complete_cells(store)
    for process in reversed(stopped):
        process.resume()
    code, output = fault_trials.wait_for(first)
    assert code == 1, output
    assert fault_trials.complete_cells(store) == before  # not written again
    assert fault_trials.table_of(folder) == table
    fault_trials.assert_clean(folder)
    print(f"stopped {way} {number}: continued, nothing overwritten.")

"""Two machines: namespaces of their own for network, names, processes and mounts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import fault_trials
import pytest

from mmbench.store.lease import holder

MNIST = """
[[grid]]
tasks = ["mnist01[batch=16]"]
algorithms = ["gda"]
seeds = 2
steps = 5
records = 1
"""


class Machines:
    """Workers on two machines; each reaches the same folder by a mount of its own.

    Args:
        folder: with the suite; `shared` in it is what all machines have in common.
        data: folder of data files, if there is one; each machine has its own way to it.
    """

    def __init__(self, folder: Path, data: str | None, stack: ExitStack) -> None:
        self.folder, self.data, self.stack = folder, data, stack
        self.word = f"{os.getpid() % 10_000:04d}"
        self.bridge, self.net = f"mmb{self.word}", f"10.{os.getpid() % 250}.77"
        self.disk, self.shared = folder / "disk", folder / "shared"
        self.file = self.shared / "scheduler.json"
        for path in (self.disk, self.shared):
            path.mkdir()
        self._do("mount", "--bind", self.disk, self.shared)
        stack.callback(self._undo, "umount", "-l", self.shared)
        self._do("ip", "link", "add", self.bridge, "type", "bridge")
        stack.callback(self._undo, "ip", "link", "del", self.bridge)
        self._do("ip", "addr", "add", f"{self.net}.1/24", "dev", self.bridge)
        self._do("ip", "link", "set", self.bridge, "up")

    def _do(self, *words: object) -> None:
        fault_trials.run_mount(*words)

    def _undo(self, *words: object) -> None:
        subprocess.run([str(one) for one in words], check=False)

    def scheduler(self) -> None:
        """On this machine, reachable from the others."""
        words = ("--scheduler-file", self.file, "--host", f"{self.net}.1")
        self._start("scheduler", *words, "--port", "0", "--no-dashboard")
        end = time.monotonic() + fault_trials.COMMAND_TIMEOUT_SECONDS
        while not self.file.exists() and time.monotonic() < end:
            time.sleep(0.1)

    def worker(self, number: int) -> None:
        """On a machine of its own."""
        name, home = f"mm{self.word}{number}", self.folder / f"home{number}"
        home.mkdir()
        (home / "data").mkdir()
        self._do("ip", "netns", "add", name)
        self.stack.callback(self._undo, "ip", "netns", "del", name)
        self._do("ip", "link", "add", f"{name}a", "type", "veth", "peer", f"{name}b")
        self._do("ip", "link", "set", f"{name}a", "master", self.bridge, "up")
        self._do("ip", "link", "set", f"{name}b", "netns", name)
        inside = ("ip", "netns", "exec", name)
        address = f"{self.net}.{number + 1}/24"
        self._do(*inside, "ip", "addr", "add", address, "dev", f"{name}b")
        self._do(*inside, "ip", "link", "set", f"{name}b", "up")
        self._do(*inside, "ip", "link", "set", "lo", "up")
        steps = [
            f"hostname {name}",
            f"umount -l {self.shared}",
            f"mount --bind {self.disk} {self.shared}",
            *([f"mount --bind {self.data} {home}/data"] if self.data else []),
            'exec "$@"',
        ]
        alone = ("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child")
        alone += ("--mount-proc",)
        self._start(
            *("worker", "--scheduler-file", self.file, "--nthreads", "1"),
            *("--no-dashboard", "--host", f"{self.net}.{number + 1}"),
            home=home,
            before=(*inside, *alone, "sh", "-ec", " && ".join(steps), "sh"),
        )

    def _start(
        self, *words: object, home: Path | None = None, before: tuple[str, ...] = ()
    ) -> None:
        at = home or self.folder
        log = self.stack.enter_context((at / "dask.log").open("ab"))
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "dask", *map(str, words)],
            cwd=at,
            env=fault_trials.environment(self.word)
            | {"MMBENCH_DATA": str(at / "data")},
            stdout=log,
            stderr=log,
        )
        self.stack.callback(process.wait, fault_trials.EXIT_TIMEOUT_SECONDS)
        self.stack.callback(process.kill)  # all of its machine ends with it


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """A scheduler here and a worker on each of two other machines."""
    folder = fault_trials.write_suite(tmp_path / "here")
    data = os.environ.get("MMBENCH_DATA")
    if data and (Path(data) / "mnist").is_dir():
        (folder / "suite.toml").write_text(fault_trials.SUITE + MNIST)
    with ExitStack() as stack:
        made = Machines(folder, data, stack)
        made.scheduler()
        for number in (1, 2):
            made.worker(number)
        yield made


def test_two_machines_give_the_table_of_one_process(machines: Machines) -> None:
    """Other networks, names, processes and mounts; the same bytes come out."""
    folder = machines.folder
    code, output = fault_trials.wait_for(
        fault_trials.start_command(folder, (), "alone")
    )
    assert code == 1, output  # for some cells raise
    (machines.shared / "store").mkdir()
    (folder / "store").symlink_to(machines.shared / "store")
    command = fault_trials.start_command(folder, ("--scheduler", str(machines.file)))
    hosts: set[object] = set()
    while command.process.poll() is None:
        leases = machines.disk.glob("store/**/*.lease")
        hosts |= {holder(path).get("host") for path in leases}
        time.sleep(0.01)
    code, output = fault_trials.wait_for(command)
    assert code == 1, output
    assert {*hosts} - {None} == {f"mm{machines.word}{number}" for number in (1, 2)}
    assert fault_trials.table_of(folder) == fault_trials.table_of(folder, "alone")
    fault_trials.assert_clean(folder)

"""Speed of planning, storing, gathering, reporting and starting up."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .library import SUITES, Store, execute, gather, plan, write_report

FOLDER = "store"  # asv gives each class a folder of its own


class Stored:
    """Work on the cells of a suite that are computed already."""

    timer = time.process_time
    timeout = 300

    def setup_cache(self) -> None:
        execute(plan(SUITES["smoke"]), Store(FOLDER))

    def setup(self) -> None:
        self.store = Store(FOLDER)
        self.key = next(iter(self.store))

    def time_plan(self) -> None:
        for cell in plan(SUITES["toy"]):
            _ = cell.key

    time_plan.version = "1"

    def time_round_trip(self) -> None:
        frame, footer = self.store.frame(self.key), self.store.footer(self.key)
        with tempfile.TemporaryDirectory(dir=".") as folder:
            other = Store(folder)
            other.put(self.key, frame, footer, self.store.arrays(self.key))
            other.frame(self.key)
            other.arrays(self.key)

    time_round_trip.version = "1"

    def time_frame(self) -> None:
        gather(self.store)

    time_frame.version = "1"

    def time_report(self) -> None:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            write_report(gather(self.store), Path(folder), name="smoke", title="Smoke")

    time_report.version = "1"


def cpu_of_children() -> float:
    """Return CPU seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Start:
    """Time until a command begins its work."""

    params = (
        ["import mmbench", "mmbench --version", "mmbench list", "mmbench plan toy"],
    )
    param_names = ("words",)
    timer = staticmethod(cpu_of_children)
    timeout = 300

    def time_start(self, words: str) -> None:
        first, *rest = words.split()
        code = ["-c", words] if first == "import" else ["-m", first, *rest]
        subprocess.run([sys.executable, *code], stdout=subprocess.DEVNULL, check=True)

    time_start.version = "1"

"""Measure how the verbs that read a store scale with its number of cells.

    python benchmarks/many_cells.py [1000 10000 100000]

Each store holds a few computed cells and copies of one of them under other keys, whose
tables are sealed anew. Their index is written by the first `results`; `mmbench run` of
as many cells would have left it. Prints CPU seconds and peak memory of the commands
themselves, start-up included. A report is made of the computed cells only, as of a
suite in a store that is shared.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.store.parquet import embed_digest
from mmbench.suites.base import Grid, Suite

GRID = ("-t", "bilinear", "-a", "gda", "-a", "omd", "-a", "extragradient")
SMALL = ("--seeds", "2", "--steps", "10", "--records", "2")
VERBS = {
    "ls": ("store", "ls"),
    "ls, with its index": ("store", "ls"),
    "check": ("store", "check"),
    "results": ("results", "--out", "results.csv"),
    "results, with its index": ("results", "--out", "results.csv"),
    "results of 3": ("results", *GRID, *SMALL, "--out", "few.csv"),
    "report of 3": ("report", *GRID, *SMALL, "--out", "page"),
    "run of 3, stored": ("run", *GRID, *SMALL),
    "export": ("store", "export", "--out", "all.zip"),
}
# The peak of a process begins with that of its parent, which has to be small.
MEASURE = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss)
"""


def fill(folder: Path, cells: int) -> None:
    """Make a store of `count` cells."""
    grid = Grid(
        tasks=("bilinear",),
        algorithms=("gda", "omd", "extragradient"),
        seeds=2,
        steps=10,
        records=2,
    )
    planned = plan(Suite(name="many", grids=(grid,)))
    store = Store(folder)
    execute(planned, store)
    key = planned[0].key
    content = store.table(key).read_bytes()
    arrays = next(iter(store.companions(key).values()), None)
    for number in range(cells - len(planned)):
        other = f"{number:024x}"
        store.table(other).write_bytes(copy(content, key, other))
        if arrays:  # the same bytes, so the same digest
            beside = folder / arrays.name.replace(key, other)
            beside.write_bytes(arrays.read_bytes())


def copy(content: bytes, key: str, other: str) -> bytes:
    """Return a table under another key, which its footer names."""
    return embed_digest(content.replace(key.encode(), other.encode()))


def measured(words: tuple[str, ...], folder: Path) -> tuple[float, float, float]:
    """Return CPU seconds, elapsed seconds and peak MB of a command."""
    command = [sys.executable, "-m", "mmbench", *words, "--store", "store"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    cpu, took, peak = map(float, done.stdout.split())
    return cpu, took, peak / 1024  # kB on Linux


def main() -> None:
    """Print a line for each verb and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[1000, 10000])
    parser.add_argument("--verbs", nargs="*", default=list(VERBS), choices=VERBS)
    given = parser.parse_args()
    print(
        f"{'cells':>7} {'verb':<23} {'CPU s':>8} {'s':>8} {'ms a cell':>10} {'MB':>7}"
    )
    for cells in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder) / "store", cells)
            for verb in given.verbs:
                cpu, took, peak = measured(VERBS[verb], Path(folder))
                each = 1000 * cpu / cells
                print(
                    f"{cells:7,} {verb:<23} {cpu:8.1f} {took:8.1f} {each:10.3f} "
                    f"{peak:7.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

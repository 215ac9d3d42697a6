"""Draw which processes of a command are busy, and when.

    python benchmarks/timeline.py reports/quick_timeline.svg mmbench run quick --store S

Samples the CPU time of the command's process and of all that it starts, ten times a
second, and draws the busy share of each over time, the lowest row first started.
"""

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import psutil

SECONDS = 0.1  # between two samples
SHORT = 1.0  # seconds of CPU below which processes share one row: compilers and helpers


def sample(command: list[str]) -> tuple[dict[int, list[tuple[float, float]]], dict]:
    """Run a command; return the CPU seconds of each process over time, and names."""
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    root = psutil.Process(process.pid)
    used: dict[int, list[tuple[float, float]]] = {}
    names: dict[int, str] = {}
    while process.poll() is None:
        now = time.perf_counter() - begun
        try:
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        for one in family:
            try:
                spent = one.cpu_times()
                names.setdefault(one.pid, one.name())
            except psutil.Error:  # it has ended meanwhile
                continue
            used.setdefault(one.pid, []).append((now, spent.user + spent.system))
        time.sleep(SECONDS)
    return used, names


def busy(samples: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return times and the share of each interval that was spent on a CPU."""
    times, shares = [], []
    for (before, first), (after, last) in pairwise(samples):
        times.append(after)
        shares.append(min(1.0, (last - first) / (after - before)))
    return times, shares


def main() -> None:
    """Run, sample and draw."""
    out, command = Path(sys.argv[1]), sys.argv[2:]
    used, names = sample(command)
    long = {pid: one for pid, one in used.items() if one[-1][1] >= SHORT}
    short: dict[float, float] = {}
    for pid in used.keys() - long.keys():
        for moment, share in zip(*busy(used[pid]), strict=True):
            short[moment] = short.get(moment, 0.0) + share
    mpl.rcParams["svg.hashsalt"] = "timeline"
    figure, axes = plt.subplots(figsize=(9, 0.6 * (len(long) + 1) + 1.2))
    labels = []
    for row, (pid, samples) in enumerate(long.items()):
        times, shares = busy(samples)
        tops = [row + 0.9 * one for one in shares]
        axes.fill_between(times, row, tops, step="pre", linewidth=0)
        spent = samples[-1][1]
        kind = "the command" if not row else f"{names[pid]} {row}"
        labels.append(f"{kind}: {spent:.1f} s of CPU")
    moments = sorted(short)
    heights = [len(long) + 0.9 * min(1.0, short[one]) for one in moments]
    axes.fill_between(moments, len(long), heights, step="pre", color="0.5", linewidth=0)
    labels.append("all shorter ones (compilers)")
    axes.set_yticks([row + 0.45 for row in range(len(labels))], labels)
    axes.set_xlabel("seconds since the command was started")
    axes.set_title(" ".join(command[:3]))
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()

"""What the rules of a board promise, in simulations: the tables of reports/board.md.

    python benchmarks/board_rules.py [TABLES]

Boards of equal methods must have a named pair apart as a pair, and any pair apart on
the board, in at most 5 % of cases. The power that a page prints must be that of
simulated entries. TABLES is the number of boards of each row, 2000 unless given; of
pairs there are twice as many.
"""

import sys
from collections.abc import Iterator

import numpy as np

from mmbench.analysis.leaderboard import (
    APART_AS_PAIR,
    APART_ON_BOARD,
    CAPACITY,
    Board,
    Entry,
    overall_board,
    task_board,
    thresholds_of,
)
from mmbench.analysis.paired_test import LEVEL, compare, power

SEEDS = (8, 16, 32, 64, 100)
UNITS = ((8, 10), (10, 10), (20, 5), (32, 4))
GAINS = (0.1, 0.2, 0.4)
ENTRIES = 8  # of a board of equal methods, as many as its capacity
COLUMN = {"name": "m", "title": "m", "better": "lower", "scale": "linear"}
# Share of runs that reach the target, and of those that fail.
KINDS = {"half reach the target": (0.5, 0.1), "all fail or miss": (0.0, 0.5)}


def main() -> None:
    """Print the tables."""
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    parts = equal_methods(tables), units(tables), powers(2 * tables)
    print("\n\n".join("\n".join(part) for part in parts))


def simulated(
    rng: np.random.Generator, task: str, label: str, starts: np.ndarray, shares: tuple
) -> Entry:
    """Return an entry whose runs depend on their starts, which all entries share.

    Args:
        rng: draws what differs between the entries.
        task: its task.
        label: its label.
        starts: how hard each seed's start is; what differs is standard normal.
        shares: of runs that reach the target, and that fail.
    """
    seeds = len(starts)
    reach, fail = shares
    luck, chance = starts + rng.normal(size=seeds), rng.random(seeds)
    success = chance < reach
    dead = chance > 1 - fail
    return Entry(
        task=task,
        label=label,
        key=label,
        seeds=np.arange(seeds),
        success=success,
        dead=dead,
        scores=np.where(dead, np.inf, luck),
        cost=np.ones(seeds),
        # Costs are those of records, so that there are ties.
        cost_to_target=np.where(success, np.ceil(20 * np.exp(luck)), np.inf),
        identical=False,
    )


def board_of(entries: dict[str, list[Entry]], capacity: int) -> Board:
    """Return the board of one task, or over several."""
    if len(entries) > 1:
        return overall_board(entries, capacity=capacity)
    (one,) = entries.values()
    return task_board(one, by_target=True, column=COLUMN, capacity=capacity)  # type: ignore[arg-type]


def errors(
    tables: int, seeds: int, tasks: int, shares: tuple[float, float]
) -> tuple[float, float]:
    """Return how often equal methods are apart: a named pair, and any on the board."""
    rng = np.random.default_rng(seeds)
    named = on_board = 0
    for _ in range(tables):
        entries = {}
        for task in map(str, range(tasks)):
            starts = rng.normal(size=seeds)
            entries[task] = [
                simulated(rng, task, str(label), starts, shares)
                for label in range(ENTRIES)
            ]
        pairs = board_of(entries, ENTRIES).pairs
        verdicts = dict(
            zip(
                zip(pairs["first"], pairs["second"], strict=True),
                pairs["verdict"],
                strict=True,
            )
        )
        own = verdicts.get(("0", "1"), verdicts.get(("1", "0")))
        named += own in (APART_AS_PAIR, APART_ON_BOARD)
        on_board += APART_ON_BOARD in verdicts.values()
    return named / tables, on_board / tables


def found(tables: int, seeds: int, tasks: int, gain: float) -> tuple[float, float]:
    """Return how often the better of two entries is, as a pair and on a board."""
    rng = np.random.default_rng(1000 + seeds)
    as_pair = on_board = 0
    for _ in range(tables):
        entries = {}
        for task in map(str, range(tasks)):
            # The starts do not matter, as in the model of the printed power.
            entries[task] = [
                simulated(rng, task, label, np.zeros(seeds), (share, 0.0))
                for label, share in (("a", (1 + gain) / 2), ("b", (1 - gain) / 2))
            ]
        (row,) = board_of(entries, CAPACITY).pairs.to_dict("records")
        is_found = row["better"] == "a"
        as_pair += is_found and row["verdict"] in (APART_AS_PAIR, APART_ON_BOARD)
        on_board += is_found and row["verdict"] == APART_ON_BOARD
    return as_pair / tables, on_board / tables


def equal_methods(tables: int) -> Iterator[str]:
    """Yield the table of equal methods."""
    yield "| runs | tasks | seeds | a named pair apart | any pair apart on the board |"
    yield "|---|---|---|---|---|"
    for name, shares in KINDS.items():
        for tasks, all_seeds in ((1, SEEDS), (5, (8, 32))):
            for seeds in all_seeds:
                named, on_board = errors(tables, seeds, tasks, shares)
                yield (
                    f"| {name} | {tasks} | {seeds} | {100 * named:.1f} % "
                    f"| {100 * on_board:.1f} % |"
                )


def units(tables: int) -> Iterator[str]:
    """Yield the table of equal methods whose runs are alike within a unit.

    Half of the variance of a run is that of its unit, an instance or a repetition of a
    tuning. Flipped seed by seed, such runs are apart too often.
    """
    yield "| units | seeds of each | apart as a pair by units | by seeds |"
    yield "|---|---|---|---|"
    for count, seeds in UNITS:
        rng, number = np.random.default_rng(count), np.arange(count * seeds)
        apart = {"units": 0, "seeds": 0}
        for _ in range(tables):
            values = rng.normal(size=(2, count, 1)) + rng.normal(size=(2, count, seeds))
            order = np.argsort(np.argsort(values.ravel())).reshape(2, -1)
            for name, unit in (("units", number // seeds), ("seeds", None)):
                made = compare(
                    order[0], order[1:], number, number, unit=unit, thresholds=(LEVEL,)
                )
                apart[name] += int(made.p[0] <= LEVEL)
        shares = " | ".join(f"{100 * one / tables:.1f} %" for one in apart.values())
        yield f"| {count} | {seeds} | {shares} |"


def powers(tables: int) -> Iterator[str]:
    """Yield the table of powers, as printed and as simulated."""
    levels = thresholds_of(CAPACITY)
    yield "| tasks | seeds | gain | printed, simulated: as a pair | on the board |"
    yield "|---|---|---|---|---|"
    for tasks, all_seeds in ((1, SEEDS), (5, (8, 32))):
        for seeds in all_seeds:
            for gain in GAINS:
                printed = power((seeds,) * tasks, gain, levels)
                seen = found(tables, seeds, tasks, gain)
                shown = " | ".join(
                    f"{100 * one:.1f}, {100 * other:.1f} %"
                    for one, other in zip(printed, seen, strict=True)
                )
                yield f"| {tasks} | {seeds} | {100 * gain:.0f} | {shown} |"


if __name__ == "__main__":
    main()

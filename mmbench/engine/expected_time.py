"""How long a cell takes, by rule: of its description alone, and never of a timing.

By it, cells are ordered and shared out, and it is decided which steps are compiled.
"""

import sys

from mmbench.engine.cell import Cell

# Seconds of a player-gradient of all runs side by side, where steps are not compiled,
# by the task's width at most: convolutions of one run, networks of a few runs, and
# games of few numbers, which take the time of starting their operations.
_SECONDS_PER_GRADIENT = ((1, 0.05), (64, 0.005), (sys.maxsize, 0.0001))


def expected_seconds_of_chunk(cell: Cell, width: int) -> float:
    """Return about how long a chunk of runs takes without compiling and metrics.

    Args:
        cell: the cell of the runs.
        width: runs computed side by side.
    """
    each = next(seconds for most, seconds in _SECONDS_PER_GRADIENT if width <= most)
    if cell.budget:
        return cell.budget * each
    return cell.steps * max(cell.algorithm.cost.gradient_equivalents, 1.0) * each


def seconds_of_compiling_arrays(cell: Cell) -> float:
    """Return about how long it takes to compile a step as a loop over arrays."""
    return 0.3 + 0.2 * max(cell.algorithm.cost.gradient_equivalents, 1.0)


def expected_seconds(cell: Cell, width: int) -> float:
    """Return about how long a cell takes without compiling and metrics."""
    chunks = -(-len(cell.seeds) // width)
    return chunks * expected_seconds_of_chunk(cell, width)

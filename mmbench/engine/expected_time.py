"""How long a cell takes, by rule: of its description alone, and never of a timing.

By it, cells are ordered and shared out, and it is decided which steps are compiled.
"""

import sys

from mmbench.engine.cell import Cell

# Seconds of a player-gradient of all runs side by side, where steps are not compiled,
# by the task's width at most: convolutions of one run, networks of a few runs, and
# games of few numbers, which take the time of starting their operations.
_SECONDS_PER_GRADIENT = ((1, 0.05), (64, 0.005), (sys.maxsize, 0.0001))
_GRADIENTS_TRACED = 15  # for each of a step, since a trace computes what it traces


def expected_seconds_of_chunk(cell: Cell, width: int) -> float:
    """Return about how long a chunk of runs takes without compiling and metrics.

    Args:
        cell: the cell of the runs.
        width: runs computed side by side.
    """
    if cell.budget:
        return cell.budget * _seconds_per_gradient(width)
    return cell.steps * _gradients_per_step(cell) * _seconds_per_gradient(width)


def seconds_of_compiling_arrays(cell: Cell, width: int) -> float:
    """Return about how long it takes to compile a step as a loop over arrays.

    Args:
        cell: the cell whose step it is.
        width: runs computed side by side.
    """
    per_gradient = max(0.2, _GRADIENTS_TRACED * _seconds_per_gradient(width))
    return 0.3 + _gradients_per_step(cell) * per_gradient


def _gradients_per_step(cell: Cell) -> float:
    return max(cell.algorithm.cost.gradient_equivalents, 1.0)


def _seconds_per_gradient(width: int) -> float:
    return next(seconds for most, seconds in _SECONDS_PER_GRADIENT if width <= most)


def expected_seconds(cell: Cell, width: int) -> float:
    """Return about how long a cell takes without compiling and metrics."""
    chunks = -(-len(cell.seeds) // width)
    return chunks * expected_seconds_of_chunk(cell, width)

"""The promises of a board hold in simulations of a small size."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mmbench.analysis.leaderboard import CAPACITY, thresholds_of
from mmbench.analysis.paired_test import power

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "board_rules.py"
TABLES = 300


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("board_rules", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def most(share: float) -> float:
    """Return a share with four standard errors of it."""
    return share + 4 * float(np.sqrt(share * (1 - share) / TABLES))


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "tasks"), [(16, 1), (32, 1), (8, 5)])
@pytest.mark.parametrize("kind", ["half reach the target", "all fail or miss"])
def test_equal_methods_are_apart_in_five_percent(
    script: ModuleType, seeds: int, tasks: int, kind: str
) -> None:
    named, on_board = script.errors(TABLES, seeds, tasks, script.KINDS[kind])
    assert named <= most(0.05)
    assert on_board <= most(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "tasks", "gain"), [(8, 1, 0.4), (32, 1, 0.4), (8, 5, 0.4)]
)
def test_the_printed_power_is_that_of_simulated_entries(
    script: ModuleType, seeds: int, tasks: int, gain: float
) -> None:
    printed = power((seeds,) * tasks, gain, thresholds_of(CAPACITY))
    seen = script.found(TABLES, seeds, tasks, gain)
    for one, other in zip(printed, seen, strict=True):
        assert abs(one - other) <= 0.03 + 3 * np.sqrt(one * (1 - one) / TABLES)


def test_runs_that_are_alike_within_units_are_flipped_by_units(
    script: ModuleType,
) -> None:
    _, _, *rows = script.units(TABLES)
    for row in rows:
        by_units, by_seeds = (float(one.split()[0]) for one in row.split("|")[3:5])
        assert by_units <= 100 * most(0.05)
        assert by_seeds > 2 * by_units

"""Grids: their settings, and those of repetitions of a tuning."""

from mmbench.suites.base import Grid


def test_repetitions_keep_seeds_of_their_own() -> None:
    grids = [
        Grid(tasks=("a",), algorithms=("b",), seeds=8, first_seed=at, repetition=number)
        for number, at in enumerate((5, 13, 21))
    ]
    for changes, seeds in (
        ({}, [(5, 8), (13, 8), (21, 8)]),
        ({"seeds": 2}, [(5, 2), (7, 2), (9, 2)]),
        ({"first_seed": 0, "seeds": 3}, [(0, 3), (3, 3), (6, 3)]),
    ):
        found = [grid.with_settings(changes) for grid in grids]
        assert [(one.first_seed, one.seeds) for one in found] == seeds
    assert grids[1].with_settings({"records": 7}).records == 7

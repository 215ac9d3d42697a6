"""`mmbench replay`: what it prints, and its exit codes."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edited_stores import (
    rewrite,
    small_grid,
    store_of,
    with_description,
    with_other_torch,
    with_value,
)

from mmbench.cli import main
from mmbench.engine.cell import Cell
from mmbench.store.folder import Store


@pytest.fixture
def one(tmp_path: Path) -> tuple[Store, Cell]:
    """Return a store with one cell that has a metric of every kind."""
    metrics = ("distance", "worst[of=distance]", "losses")
    store, (cell,) = store_of(tmp_path, small_grid(metrics=metrics, keep="last"))
    return store, cell


def mmbench(*words: Any) -> Result:
    """Run a command line and return its result."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_replay_says_what_came_of_it(one: tuple[Store, Cell]) -> None:
    """The exit code is 0, or 1 with the first difference."""
    store, cell = one
    place = ("--store", store.folder)
    good = mmbench("replay", cell.key[:8], *place)
    assert good.exit_code == 0
    assert good.stderr == "bilinear x gda, 4 runs: 20 steps to compute.\n"
    assert f"{cell.key}: bilinear x gda" in good.stdout
    assert "4 runs of " in good.stdout
    assert "bit-identical" in good.stdout
    alone = mmbench("replay", cell.key, *place, "--seed", 2)
    assert "1 run of" in alone.stdout
    assert mmbench("replay", cell.key, *place, "--seed", 4).exit_code == 2
    assert mmbench("replay", "zz", *place).exit_code == 2
    assert good.stdout.splitlines()[-1] == (
        "Not checked: cell_seconds, provenance, environments, limits"
    )
    rewrite(store, cell.key, frame=with_value("loss_x", 0.25))
    bad = mmbench("replay", cell.key, *place)
    assert bad.exit_code == 1
    assert "is not what mmbench computes: it differs in 1 of 4 runs" in bad.stderr
    rewrite(store, cell.key, footer=with_other_torch)
    far = mmbench("replay", cell.key, *place)
    assert far.exit_code == 1
    assert "by more than rounding makes" in far.stderr
    assert "Other circumstances: torch 2.0.0 then" in far.stdout


def test_what_is_not_confirmed_has_codes_of_its_own(one: tuple[Store, Cell]) -> None:
    """3 for what nothing computes, 4 for a damaged file."""
    store, cell = one
    place = ("--store", store.folder)
    rewrite(store, cell.key, lambda frame: frame.assign(fid=1.0))
    extra = mmbench("replay", cell.key, *place)
    assert extra.exit_code == 3
    assert "is not confirmed: it is unconfirmed: no metric" in extra.stderr
    store.table(cell.key).write_bytes(store.table(cell.key).read_bytes()[:-9])
    damaged = mmbench("replay", cell.key, *place)
    assert damaged.exit_code == 4
    assert "its bytes have another digest" in damaged.stderr


def test_control_characters_of_a_file_are_escaped(
    one: tuple[Store, Cell],
) -> None:
    """Control characters of a footer reach no terminal."""
    store, cell = one
    rewrite(store, cell.key, footer=with_description(label="\x1b[2Jgone"))
    refused = mmbench("replay", cell.key, "--store", store.folder)
    assert refused.exit_code == 2
    assert "\x1b" not in refused.output

"""Options that change the grids of a suite."""

import pytest

from mmbench.cli._selection import Selection


@pytest.mark.parametrize("words", [("smoke",), ("-t", "bilinear", "-a", "gda")])
def test_precision_and_keep_change_grids(words: tuple[str, ...]) -> None:
    """Both options change grids and suites, and only the precision changes keys."""
    name = words[0] if len(words) == 1 else None
    axes = {"tasks": (), "algorithms": (), "metrics": ()}
    if not name:
        axes |= {"tasks": ("bilinear",), "algorithms": ("gda",)}
    plain = Selection(name, axes, {}).cells
    changed = Selection(name, axes, {"precision": "bf16", "keep": "last"}).cells
    kept = Selection(name, axes, {"keep": "last"}).cells
    assert {cell.precision for cell in changed} == {"bf16"}
    assert {cell.keep for cell in changed} == {"last"}
    assert [cell.key for cell in kept] == [cell.key for cell in plain]
    assert not {cell.key for cell in changed} & {cell.key for cell in plain}

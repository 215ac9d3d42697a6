"""Methods that join results: cells under the same conditions, and no others."""

from pathlib import Path

from edited_stores import EXTERNAL_CLASS, rewrite, small_grid, store_of

from mmbench.algorithms import ALGORITHMS
from mmbench.runner.joining import Joining, join
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite


def joined(store: Store, spec: str = "extragradient") -> Joining:
    return join(map(store.footer, store), ALGORITHMS.build(spec), "Mine")


def test_a_method_runs_under_the_conditions_of_the_others(tmp_path: Path) -> None:
    """Its cells are those of a suite with the others, whatever their settings."""
    grids = (
        small_grid(budget=60),
        small_grid("quadratic", metrics=("field_norm",)),
        small_grid("dirac_gan", "omd", first_seed=3, dtype="float64", keep="last"),
    )
    store, cells = store_of(tmp_path, *grids)
    found = joined(store)
    assert found.left_out == []
    assert sorted(found.compared) == sorted(cell.key for cell in cells)
    planned = [
        Grid(**{**vars(grid), "algorithms": ("Mine = extragradient",), "keep": "none"})
        for grid in grids
    ]
    expected = plan(Suite(name="expected", grids=tuple(planned)))
    assert sorted(found.cells, key=str) == sorted(expected, key=str)


def test_winners_of_a_tuning_are_not_joined(tmp_path: Path) -> None:
    """Their hyperparameters were chosen otherwise; the others are joined."""
    store, (first, tuned) = store_of(
        tmp_path, small_grid(), small_grid(algorithm="omd")
    )

    def of_a_tuning(footer: dict) -> None:
        footer["description"]["track"] = "tuned"

    rewrite(store, tuned.key, footer=of_a_tuning)
    found = joined(store)
    assert found.compared == [first.key]
    assert [cell.track for cell in found.cells] == ["default"]
    (sentence,) = found.left_out
    assert "omd must be of the default track" in sentence


def test_of_unlike_seeds_the_most_count(tmp_path: Path) -> None:
    store, _ = store_of(
        tmp_path, small_grid(), small_grid(algorithm="omd", seeds=6, first_seed=2)
    )
    found = joined(store)
    (cell,) = found.cells
    assert cell.seeds == tuple(range(2, 8))
    assert len(found.compared) == 2


def test_what_a_method_cannot_join(tmp_path: Path) -> None:
    """Another version, a task outside, a chain, or a task that it does not fit."""
    (tmp_path / "mine.py").write_text(EXTERNAL_CLASS)
    first = small_grid(algorithm="first = gda")
    later = Grid(**{**vars(first), "algorithms": ("omd",), "after": "first"})
    store, (start, chained) = store_of(tmp_path, first, later)
    found = joined(store)
    assert [one.after for one in found.cells] == [None]
    assert found.compared == [start.key]
    assert "it goes on where another cell ended" in found.left_out[0]
    store.remove(chained.key)

    def of_another_version(footer: dict) -> None:
        for name in ("cell", "description"):
            footer[name]["task"]["version"] = 7

    rewrite(store, start.key, footer=of_another_version)
    (sentence,) = joined(store).left_out
    assert sentence.startswith("bilinear is left out: ")
    assert "another version computed it" in sentence
    assert joined(store).cells == joined(store).compared == []


def test_a_method_of_a_file_joins_others_of_files(tmp_path: Path) -> None:
    """The source of the others is not needed."""
    file = tmp_path / "theirs.py"
    file.write_text(EXTERNAL_CLASS)
    store, (cell,) = store_of(tmp_path, small_grid(algorithm=f"M = {file}:Mine"))
    file.unlink()
    found = joined(store)
    assert found.compared == [cell.key]
    assert found.cells[0].seeds == cell.seeds

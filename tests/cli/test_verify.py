"""`mmbench verify`: a sample of a store, computed again."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edited_stores import EXTERNAL_CLASS, rewrite, small_grid, store_of, with_scaled

from mmbench.analysis.published import publish
from mmbench.analysis.results import gather
from mmbench.cli import main
from mmbench.suites.base import Grid


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """Return the spec of an external class."""
    (tmp_path / "mine.py").write_text(EXTERNAL_CLASS)
    return f"{tmp_path / 'mine.py'}:Mine"


def mmbench(*words: Any) -> Result:
    """Run a command line and return its result."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_verify_finds_an_edited_store(tmp_path: Path) -> None:
    """One changed value of one table is found, if its cell is in the sample."""
    algorithms = ("gda", "omd", "extragradient")
    grid = Grid(tasks=("bilinear",), algorithms=algorithms, seeds=2, steps=10)
    store, cells = store_of(tmp_path, grid)
    good = mmbench("verify", store.folder, "--sample", 2)
    assert good.exit_code == 0
    assert (
        "2 of 3 cells checked, one run of each: 2 bit-identical."
        in good.stdout.splitlines()[-1]
    )
    assert len(good.stderr.splitlines()) == 2
    assert good.stderr.startswith("[1/2] ")
    assert mmbench("verify", store.folder, "--sample", 2).stdout == good.stdout
    everything = mmbench("verify", store.folder, "--sample", 9)
    assert (
        "3 of 3 cells checked, one run of each: 3 bit-identical." in everything.stdout
    )
    for cell in cells[:1]:  # all its runs, so that whichever is drawn is one
        rewrite(store, cell.key, frame=with_scaled(0.999, 10))
    bad = mmbench("verify", store.folder, "--sample", 9)
    assert bad.exit_code == 1
    assert "is not verified: 3 of 3 cells checked" in bad.stderr
    assert "1 differs" in bad.stderr
    (line,) = [line for line in bad.stdout.splitlines() if "differs" in line]
    assert cells[0].key[:8] in line
    assert "distance" in line


def test_verify_goes_on_after_what_it_cannot_compute(tmp_path: Path, mine: str) -> None:
    """A damaged file and an unknown class are not verified; the rest is computed."""
    store, cells = store_of(
        tmp_path,
        small_grid(),
        small_grid(algorithm="omd"),
        small_grid(algorithm=f"M = {mine}"),
    )
    store.table(cells[0].key).write_bytes(b"PAR1")
    bad = mmbench("verify", store.folder)
    assert bad.exit_code == 4
    lines = "\n".join(bad.stdout.splitlines())
    assert lines.count("not computed: ") == 1
    assert lines.count("damaged: ") == 1
    assert "1 damaged" in bad.stderr
    store.remove(cells[0].key)
    assert mmbench("verify", store.folder).exit_code == 2
    assert lines.count("bit-identical") == 1
    assert "say where it lies: --outside path/to/mine.py:Mine" in lines
    assert mmbench("verify", tmp_path / "none").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert "has none" in mmbench("verify", tmp_path / "empty").stderr


def test_files_that_were_not_drawn_are_read(tmp_path: Path) -> None:
    """A damaged one, and one that contradicts its description, are found."""
    algorithms = ("gda", "omd", "extragradient")
    grid = Grid(tasks=("quadratic",), algorithms=algorithms, seeds=2, steps=10)
    store, cells = store_of(tmp_path, grid)
    words = ("verify", store.folder, "--sample", 1)
    good = mmbench(*words)
    assert good.exit_code == 0
    (drawn,) = [cell for cell in cells if cell.key[:8] in good.stdout]
    first, second = [cell.key for cell in cells if cell != drawn]

    def cheaper(footer: dict[str, Any]) -> None:
        footer["method"]["cost"] = "nothing"

    rewrite(store, first, footer=cheaper)
    bad = mmbench(*words)
    assert bad.exit_code == 1
    assert "differs: its footer has another method than this code" in bad.stdout
    store.remove(first)
    store.table(second).write_bytes(b"PAR1")
    bad = mmbench(*words)
    assert bad.exit_code == 4
    assert f"{second[:8]}: damaged: " in bad.stdout
    assert "1 of 2 cells checked, one run of each: 1 bit-identical, 1 damaged" in (
        bad.stderr
    )


def test_published_results_are_verified(tmp_path: Path) -> None:
    """One changed value of a published record is found, and so is a changed footer."""
    algorithms = ("gda", "omd", "extragradient")
    grid = Grid(tasks=("bilinear",), algorithms=algorithms, seeds=2, steps=10)
    store, _ = store_of(tmp_path, grid)
    results, folder = gather(store), tmp_path / "published"
    publish(results, folder)
    good = mmbench("verify", folder, "--sample", 2)
    assert good.exit_code == 0
    assert good.stdout.splitlines()[-1] == (
        f"{folder}: 2 of 3 cells checked, one run of each: 2 bit-identical."
    )
    assert "Not checked: cell_seconds" in good.stdout
    assert "records between, arrays" in good.stdout
    changed = results.frame.assign(distance=results.frame["distance"] * 0.999)
    publish(results._replace(frame=changed), folder)
    bad = mmbench("verify", folder)
    assert bad.exit_code == 1
    assert "3 differs" in bad.stderr
    outcomes = {"converged": 2}
    footers = {
        key: one | {"outcomes": outcomes} for key, one in results.footers.items()
    }
    publish(results._replace(footers=footers), folder)
    bad = mmbench("verify", folder, "--sample", 1)
    assert "1 of 3 cells checked, one run of each: 3 differs" in bad.stderr
    assert "other outcomes than its published records" in bad.stdout
    refused = mmbench("verify", folder, "--fresh-seeds")
    assert "--fresh-seeds must be given for a store" in refused.stderr
    refused = mmbench("submit", folder)
    assert refused.exit_code == 2
    assert f"`mmbench verify {folder}`" in refused.stderr
    (folder / "runs.parquet").write_bytes(b"other")
    assert mmbench("verify", folder).exit_code == 4

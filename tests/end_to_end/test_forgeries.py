"""Forgeries that were sealed again: none is confirmed, whatever circumstances say."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from edited_stores import rewrite, small_grid, store_of, with_footer, with_scaled
from forgeries import (
    FORGERIES,
    QUICK,
    REFUTED,
    contracting_store,
    ended,
    filled,
    on_another_machine,
    scaled,
    verdict_on,
)
from other_machines import (
    compute_compiled,
    compute_with_other_roundings,
    compute_with_other_width,
)

from mmbench.cli import main
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner.replay import Verdict, replay
from mmbench.store.folder import Store


def slow(*what: str) -> list[Any]:
    """Return parameters of tests that others are about the same as."""
    return [pytest.param(one, marks=pytest.mark.slow) for one in what]


# Words of a version that this code cannot check; of the same version they are forged.
WORDS = [
    *("summary", "title of a column"),
    *slow("the game's summary", "protocols", "cost"),
]

CHAOTIC = '''
from dataclasses import dataclass
from mmbench import Algorithm, Cost

@dataclass(frozen=True, kw_only=True)
class Chaotic(Algorithm):
    """Chaotic."""

    @property
    def cost(self):
        return Cost()

    def step(self, oracle, z, state):
        return 1 - 1.99 * z * z, state
'''


@pytest.fixture(scope="module")
def contracting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cell]:
    """Return a store with one cell of a game in which runs contract."""
    store, cell = contracting_store(tmp_path_factory.mktemp("contracting"))
    return store.folder, cell


@pytest.fixture
def copied(contracting: tuple[Path, Cell], tmp_path: Path) -> tuple[Store, Cell]:
    """Return a copy of that store."""
    shutil.copytree(contracting[0], tmp_path / "store")
    return Store(tmp_path / "store"), contracting[1]


@pytest.mark.parametrize("what", [*QUICK, *slow(*sorted({*FORGERIES} - {*QUICK}))])
def test_no_forgery_is_confirmed(what: str, copied: tuple[Store, Cell]) -> None:
    """With one word of the provenance changed, it still differs or is damaged."""
    assert verdict_on(what, *copied) in REFUTED


@pytest.mark.parametrize("what", WORDS)
def test_words_of_another_version_are_not_confirmed(
    what: str, copied: tuple[Store, Cell]
) -> None:
    """They may be true, and are named."""
    store, cell = copied
    rewrite(store, cell.key, **FORGERIES[what])
    rewrite(
        store,
        cell.key,
        footer=lambda footer: footer["provenance"].update(mmbench="0.1.9"),
    )
    done = replay(store, store.require(cell.key))
    assert done.verdict is Verdict.UNCONFIRMED
    assert "than this code" in str(done)


@pytest.mark.parametrize(
    "changes",
    [
        {"frame": lambda frame: frame.assign(fid=1.0)},
        {"footer": with_footer(award="first prize")},
    ],
)
def test_what_nothing_computes_is_not_confirmed(
    changes: dict[str, Any], copied: tuple[Store, Cell]
) -> None:
    """A column and an entry that do not follow from the description are named."""
    store, cell = copied
    rewrite(store, cell.key, **changes)
    assert replay(store, store.require(cell.key)).verdict is Verdict.UNCONFIRMED


@pytest.mark.slow
def test_growth_is_believed_where_it_happens(tmp_path: Path) -> None:
    """A chaotic run departs once rounding has grown, and differs before."""
    (tmp_path / "mine.py").write_text(CHAOTIC)
    spec = f"{tmp_path / 'mine.py'}:Chaotic"
    options = {"metrics": ("distance", "losses"), "steps": 40, "records": 40}
    grid = small_grid("bilinear[start_at=(0.3,0.4)]", f"C = {spec}", **options, seeds=2)
    store, (cell,) = store_of(tmp_path, grid)
    honest = store.folder, tmp_path / "honest"
    shutil.copytree(*honest)
    for since, verdict in ((3, Verdict.DIFFERS), (30, Verdict.DEPARTS)):
        rewrite(
            store,
            cell.key,
            frame=with_scaled(0.5, since),
            footer=on_another_machine(),
        )
        done = replay(store, store.require(cell.key), external=[spec])
        assert done.verdict is verdict, str(done)
        shutil.rmtree(store.folder)
        shutil.copytree(*honest[::-1])
    # Charges do not follow the numbers into chaos.
    rewrite(
        store,
        cell.key,
        frame=lambda frame: frame.assign(grad_x=frame["step"] // 2),
        footer=on_another_machine(),
    )
    done = replay(store, store.require(cell.key), external=[spec])
    assert done.verdict is Verdict.DIFFERS
    compute_with_other_roundings(store, cell, 7)
    done = replay(store, store.require(cell.key), external=[spec])
    assert done.verdict is Verdict.DEPARTS, str(done)


@pytest.mark.parametrize("scale", [1.0004, 0.01])
def test_columns_made_of_others_are_made_again(scale: float, tmp_path: Path) -> None:
    """A worst distance must be that of the distances, in any circumstances."""
    metrics = ("distance", "worst[of=distance]")
    store, (cell,) = store_of(tmp_path, small_grid(metrics=metrics))
    changes = scaled(scale, "distance_worst", "step >= 0")
    rewrite(store, cell.key, **changes, footer=on_another_machine())
    done = replay(store, store.require(cell.key))
    assert str(done) == "differs: its distance_worst is not that of its distance"


def test_a_forged_start_of_a_chain_is_not_used(tmp_path: Path) -> None:
    """The cell before is computed again, even where its iterates are stored."""
    store, cells = store_of(
        tmp_path,
        small_grid("quadratic", "A = gda", keep="last"),
        small_grid("quadratic", "B = omd", after="A"),
    )
    before, last = cells
    rewrite(
        store,
        before.key,
        iterates=lambda kept: kept.update(z=kept["z"] * np.float32(2)),
    )
    assert replay(store, store.require(last.key)).verdict is Verdict.IDENTICAL
    rewrite(store, last.key, frame=with_scaled(1.001, 0))
    assert replay(store, store.require(last.key)).verdict is Verdict.DIFFERS


def test_columns_of_pure_rounding_lose_no_run(tmp_path: Path) -> None:
    """Losses that cancel at the start say nothing of the distances and ends."""
    start = "quadratic[start_at=(1.0,-0.101020514)]"  # of value zero
    grid = small_grid(start, "extragradient", metrics=("distance", "losses"), seeds=2)
    store, (cell,) = store_of(tmp_path, grid)
    honest = store.table(cell.key).read_bytes()
    for forged in (filled(100.0, "distance", "step > 0"), ended("diverged", 20)):
        changes = dict(forged)
        changes["footer"] = on_another_machine(forged.get("footer", lambda _: None))
        rewrite(store, cell.key, **changes)
        done = replay(store, store.require(cell.key), seed=0)
        assert done.verdict is Verdict.DIFFERS, str(done)
        store.table(cell.key).write_bytes(honest)


def test_fresh_seeds_confirm_a_departure_and_nothing_else(tmp_path: Path) -> None:
    """Numbers that no seed gives are refuted, and doubts stay."""
    bounded = CHAOTIC.replace("1 - 1.99 * z * z", "(4 * z).cos()")
    (tmp_path / "mine.py").write_text(bounded)  # from any start
    spec = f"{tmp_path / 'mine.py'}:Chaotic"
    options = {"metrics": ("distance",), "steps": 40, "records": 8}
    grid = small_grid("bilinear", f"C = {spec}", **options, seeds=8)
    store, (cell,) = store_of(tmp_path, grid)
    compute_with_other_roundings(store, cell, 7)
    words = ("verify", str(store.folder), "--fresh-seeds", "--outside", spec)

    def code() -> int:
        return CliRunner().invoke(main, words).exit_code

    assert code() == 0
    rewrite(store, cell.key, frame=lambda frame: frame.assign(fid=1.0))
    assert code() == 3
    rewrite(store, cell.key, **filled(1e-9, "distance", "step == 39 | step == 40"))
    assert code() == 1


# ---- honest cells ----


@pytest.mark.parametrize("task", ["dirac_gan", *slow("bilinear[dim=3]", "quadratic")])
@pytest.mark.parametrize("algorithm", ["gda[direction=adam]", *slow("cgd")])
def test_honest_cells_are_not_refuted(
    task: str, algorithm: str, tmp_path: Path
) -> None:
    """Other roundings and another width are not called forged."""
    store, (cell,) = store_of(tmp_path, small_grid(task, algorithm, keep="all"))
    compute_with_other_roundings(store, cell, 5)
    done = replay(store, store.require(cell.key))
    assert done.verdict in (Verdict.AGREES, Verdict.DEPARTS), str(done)
    compute_with_other_width(store, cell, 3)
    done = replay(store, store.require(cell.key))
    assert done.verdict in (Verdict.AGREES, Verdict.IDENTICAL), str(done)


@pytest.mark.slow
def test_compiled_cells_are_not_refuted(tmp_path: Path) -> None:
    """A cell that was compiled agrees with one that was not."""
    store, (cell,) = store_of(tmp_path, small_grid("dirac_gan", "gda"))
    store.remove(cell.key)
    compute_compiled(store, cell)
    done = replay(store, store.require(cell.key), placement=Placement())
    assert done.verdict in (Verdict.AGREES, Verdict.IDENTICAL), str(done)

"""Runs of stored cells: what is taken of them, and that the whole has equal bits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_cells import NET, CountingObserver, small_cells
from stores import assert_same_cells

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import needs_of
from mmbench.core.capability import Capability
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.runner import divided, local_workers, stored_runs
from mmbench.runner.execute import execute
from mmbench.runner.limits import Limits, Workers
from mmbench.runner.local_workers import Events, LocalWorkers
from mmbench.runner.plan import plan
from mmbench.runner.provenance import provenance
from mmbench.runner.replay import Verdict, replay
from mmbench.runner.stored_runs import Shard, take_runs
from mmbench.store.folder import Store
from mmbench.store.integrity import check
from mmbench.store.shards import shards_folder
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import TASKS

# Its products round by their place in a chunk of 16 runs.
ODD_NET = "four_gaussians[hidden=17,noise=2,batch=8]"
QUICK = ("mode_coverage[samples=20]",)
STEPS = 4


class TakingObserver(CountingObserver):
    """An observer that also counts the runs that are taken from the store."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def on_taken(self, cell: Cell, runs: int) -> None:
        """Add the runs."""
        self.taken += runs


def cells_of(
    task: str, algorithm: str, seeds: int, first: int = 0, **options: Any
) -> tuple[Cell, ...]:
    """Plan one small cell."""
    metrics = () if task == "bilinear" else QUICK
    options = {"metrics": metrics, "first_seed": first, "seeds": seeds} | options
    return small_cells(
        algorithm, tasks=(task,), **{"steps": STEPS, "records": 2} | options
    )


def taken_of(cells: Sequence[Cell], store: Store, **options: Any) -> int:
    """Return how many runs are taken from a store when cells are computed into it."""
    observer = TakingObserver()
    execute(cells, store, observer=observer, **options)
    return observer.taken


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def alone(tmp_path: Path) -> Store:
    """An empty store, for cells that are computed at once."""
    return Store(tmp_path / "alone")


# ---- equal bits ----


@pytest.mark.parametrize(
    ("task", "algorithm", "before", "now", "taken"),
    [
        ("bilinear", "gda", (0, 3), (0, 5), 3),
        ("bilinear", "gda", (3, 2), (0, 9), 0),  # what is left would be two chunks
        ("bilinear", "accept_reject", (4, 20), (0, 12), 8),
        (ODD_NET, "gda", (0, 40), (16, 24), 8),
        *(
            pytest.param(ODD_NET, *one, marks=pytest.mark.slow)
            for one in (
                ("omd", (0, 32), (0, 48), 32),
                ("gda[direction=adam]", (0, 24), (0, 40), 16),
                ("accept_reject", (16, 24), (0, 32), 16),
            )
        ),
    ],
)
def test_a_cell_of_stored_and_missing_runs_has_the_bits_of_one_run(
    store: Store,
    alone: Store,
    task: str,
    algorithm: str,
    before: tuple[int, int],
    now: tuple[int, int],
    taken: int,
) -> None:
    """Whole chunks are taken, and single runs of games of two numbers.

    The first runs of a cell are not taken where their samples were not stored.
    """
    earlier = cells_of(task, algorithm, before[1], before[0], keep="last")
    (cell,) = cells_of(task, algorithm, now[1], now[0])
    execute(earlier, store)
    observer = TakingObserver()
    execute([cell], store, observer=observer)
    assert observer.taken == taken
    assert observer.run_steps == len(cell.seeds) * STEPS
    assert observer.begun == observer.ended == [algorithm]
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])
    assert not shards_folder(store).exists()
    assert check(store) == []


def test_a_cell_of_stored_runs_alone_computes_nothing(
    store: Store, alone: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one with fewer seeds, from the middle too where no samples are stored."""
    (large,) = cells_of("bilinear", "gda", 9, first=2)
    execute([large], store)
    monkeypatch.setattr(divided, "compute_and_store", None)
    (few,) = cells_of("bilinear", "gda", 5, first=4)
    assert taken_of([few], store) == 5
    execute([few], alone)
    assert_same_cells(store, alone, [few.key])


@pytest.mark.slow
def test_runs_are_taken_from_several_cells(store: Store, alone: Store) -> None:
    """Of which one has a metric more, and another comes later."""
    more = (*QUICK, "sliced_wasserstein[samples=20]")
    for first, metrics in ((0, more), (32, QUICK)):
        execute(cells_of(NET, "gda", 16, first, metrics=metrics), store)
    (cell,) = cells_of(NET, "gda", 50)
    assert taken_of([cell], store) == 32
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])


@pytest.mark.parametrize("keep", ["all", pytest.param("last", marks=pytest.mark.slow)])
def test_what_is_kept_and_measured_is_what_is_asked_for(
    store: Store, alone: Store, keep: Any
) -> None:
    """A metric that is lacking is measured from iterates of all records, or not."""
    execute(cells_of(NET, "gda", 16, keep=keep), store)
    more = (*QUICK, "sliced_wasserstein[samples=20]")
    (cell,) = cells_of(NET, "gda", 24, metrics=more, keep="last")
    assert taken_of([cell], store) == (16 if keep == "all" else 0)
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])


def test_a_chain_takes_runs_that_start_at_the_same_points(
    store: Store, alone: Store
) -> None:
    """Not where the cell before is gone, of whose starts nothing is known then."""

    def chain(seeds: int) -> tuple[Cell, ...]:
        settings: Any = {"tasks": ("bilinear",), "seeds": seeds, "steps": STEPS}
        first = Grid(algorithms=("first = gda",), **settings)
        rest = Grid(algorithms=("omd",), after="first", keep="all", **settings)
        return plan(Suite(name="test", grids=(first, rest)))

    few, more = chain(3), chain(5)
    execute(few, store)
    assert taken_of(more, store) == 3 + 3
    execute(more, alone)
    assert_same_cells(store, alone, [cell.key for cell in more])
    shard = Shard(replace(more[1], seeds=few[1].seeds), few[1].key)
    parts = Store(store.folder / "more")
    assert take_runs(shard, store, parts)
    store.remove(few[0].key)
    assert not take_runs(shard, store, parts)


def test_an_interrupted_cell_goes_on(store: Store, alone: Store) -> None:
    """What was taken before the end counts as taken, and the bits are the same."""

    class Impatient(CountingObserver):
        def on_taken(self, cell: Cell, runs: int) -> None:
            raise KeyboardInterrupt

    (few,), (more,) = cells_of("bilinear", "gda", 3), cells_of("bilinear", "gda", 5)
    execute([few], store)
    with pytest.raises(KeyboardInterrupt):
        execute([more], store, observer=Impatient())
    assert more.key not in store
    assert taken_of([more], store) == 3
    execute([more], alone)
    assert_same_cells(store, alone, [more.key])


def test_workers_share_out_the_missing_runs(store: Store) -> None:
    """By the time that these take, after what is stored."""
    execute(cells_of(NET, "gda", 16), store)
    (cell,) = cells_of(NET, "gda", 48)
    divisions = divided.find_divisions([cell], store, Placement())
    nothing = Events(*[lambda *_: None] * 6)
    workers = LocalWorkers(
        [cell], {}, divisions, store, Placement(), Limits(), 2, nothing
    )
    jobs = [workers._schedule.take() for _ in range(3)]
    assert [(len(job.cell.seeds), bool(job.source)) for job in jobs if job] == [
        (16, True),
        (16, False),
        (16, False),
    ]


@pytest.mark.slow
def test_workers_make_a_cell_of_stored_and_missing_runs(
    store: Store, alone: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bits are those of one run, and no shards are left."""
    monkeypatch.setattr(local_workers, "START_SECONDS", 1e-9)
    execute(cells_of(NET, "gda", 32), store)
    (cell,) = cells_of(NET, "gda", 64)
    assert taken_of([cell], store, workers=Workers(2)) == 32
    execute([cell], alone)
    assert_same_cells(store, alone, [cell.key])
    assert not shards_folder(store).exists()


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        (ODD_NET, "omd"),
        pytest.param("bilinear", "accept_reject", marks=pytest.mark.slow),
    ],
)
def test_a_replay_confirms_a_cell_of_stored_and_missing_runs(
    store: Store, task: str, algorithm: str
) -> None:
    """Bit by bit, though it computes all runs at once."""
    for seeds in (16, 20):
        (cell,) = cells_of(task, algorithm, seeds, keep="last")
        execute([cell], store)
    found = replay(store, store.require(cell.key))
    assert found.verdict is Verdict.IDENTICAL, str(found)


# ---- what is not taken ----


@pytest.mark.parametrize("name", ["mmbench", "commit", "numpy", "processor", "device"])
def test_runs_of_other_circumstances_are_not_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Since a cell has one machine and one set of versions."""
    execute(cells_of("bilinear", "gda", 3), store)
    more = cells_of("bilinear", "gda", 5)
    assert divided.find_divisions(more, store, Placement())
    here = provenance("cpu") | {name: "another"}
    monkeypatch.setattr(stored_runs, "provenance", lambda _: here)
    assert not divided.find_divisions(more, store, Placement())


METHOD = """
from dataclasses import dataclass
from mmbench import Algorithm, Cost

@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    cost = Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        return z - 0.1 * oracle.field(z), state
"""


def test_runs_of_an_edited_method_are_not_taken(store: Store, tmp_path: Path) -> None:
    """Though it has the name and the parameters of before; those of a copy are."""
    specs = []
    for folder, size in (("first", "0.1"), ("edited", "0.2"), ("copy", "0.1")):
        path = tmp_path / folder / "mine.py"
        path.parent.mkdir()
        path.write_text(METHOD.replace("0.1", size))
        specs.append(f"{path}:Mine")
    first, edited, copy = specs
    execute(cells_of(NET, first, 16), store)
    assert not stored_runs.find_candidates(cells_of(NET, edited, 17), store)
    assert taken_of(cells_of(NET, copy, 17), store) == 16


@pytest.mark.slow
def test_runs_of_a_cell_that_failed_are_not_taken(store: Store, tmp_path: Path) -> None:
    """Nor those of them that had ended before."""
    path = tmp_path / "mine.py"
    path.write_text(METHOD.replace("return z - 0.1", "1 / 0; return z - 0.1"))
    execute(cells_of(NET, f"{path}:Mine", 16), store)
    assert taken_of(cells_of(NET, f"{path}:Mine", 17), store) == 0


@pytest.mark.parametrize(
    ("then", "now", "taken"), [(True, False, 0), (True, None, 3), (False, True, 0)]
)
def test_compiled_and_eager_runs_are_not_mixed(
    store: Store, then: bool, now: bool | None, taken: int
) -> None:
    """Where nothing is forced, missing runs are computed as the stored ones were."""
    (few,), (more,) = cells_of("bilinear", "gda", 3), cells_of("bilinear", "gda", 5)
    execute([few], store)
    stored = store.require(few.key)
    footer = stored.footer | {"backend": "compiled" if then else "eager"}
    store.replace_table(stored, stored.frame, footer)
    divisions = divided.find_divisions([more], store, Placement(compiled=now))
    assert [one.compiled for one in divisions.values()] == [then] * (taken > 0)


def test_damaged_runs_are_computed(store: Store, alone: Store) -> None:
    """Those whose arrays are gone, and those of a damaged table."""
    (few,), (more,) = cells_of("bilinear", "gda", 3), cells_of("bilinear", "gda", 5)
    execute([few], store)
    table, arrays = store.table(few.key), store.companions(few.key)["arrays"]
    arrays.unlink()
    assert taken_of([more], store) == 0
    execute([more], alone)
    assert_same_cells(store, alone, [more.key])
    store.remove(more.key)
    table.write_bytes(b"0" + table.read_bytes()[1:])
    assert not divided.find_divisions([more], store, Placement())


@pytest.mark.slow
@pytest.mark.parametrize("is_of_methods", [True, False])
def test_runs_of_two_numbers_do_not_depend_on_their_place(
    store: Store, alone: Store, is_of_methods: bool
) -> None:
    """With one method and in one game of each kind, so they may be taken one by one."""
    built = {name: TASKS.build(name).gives for name in TASKS}
    planar = [name for name in built if Capability.PLANE in built[name]]
    tasks = ["dirac_gan"] if is_of_methods else planar
    methods = [
        name
        for name in (list(ALGORITHMS)[::3] if is_of_methods else ("omd", "cgd"))
        if all(needs_of(ALGORITHMS.build(name)) <= built[task] for task in tasks)
    ]

    def cells(seeds: int, first: int) -> tuple[Cell, ...]:
        settings: Any = {"steps": 20, "records": 5, "keep": "all"}
        return small_cells(
            *methods, tasks=tuple(tasks), seeds=seeds, first_seed=first, **settings
        )

    execute(cells(5, 7), store)
    whole = cells(12, 0)
    assert taken_of(whole, store) == 5 * len(whole) > 5 * 10
    execute(whole, alone)
    assert_same_cells(store, alone, [cell.key for cell in whole])

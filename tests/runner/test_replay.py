"""Replay: the same cell gives the same bits, and whatever was changed is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from mmbench.cli import main
from mmbench.core.errors import DescriptionError, StoreError
from mmbench.engine.cell import Cell
from mmbench.runner.comparison import TOLERANCE, Comparison
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.runner.provenance import provenance
from mmbench.runner.replay import Verdict, drawn, drawn_seed, replay, steps_of
from mmbench.runner.stored_cell import key_of, stored_cell
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

OUTSIDE = '''
from dataclasses import dataclass
from mmbench import Algorithm, Cost

@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    """Mine."""
    limit: float = 1e9

    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        if float(z.abs().max()) > self.limit:
            raise ValueError("too far")
        return z - 0.3 * oracle.field(z), state
'''

GAN = "four_gaussians[hidden=4,noise=2,batch=4]"


def computed(folder: Path, *grids: Grid) -> tuple[Store, tuple[Cell, ...]]:
    """A store with the cells of grids."""
    store = Store(folder / "store")
    cells = plan(Suite(name="test", grids=grids))
    execute(cells, store)
    return store, cells


def small(task: str = "bilinear", algorithm: str = "gda", **options: Any) -> Grid:
    """A grid of one small cell."""
    options = {"seeds": 4, "steps": 20, "records": 4} | options
    return Grid(tasks=(task,), algorithms=(algorithm,), **options)


@pytest.fixture
def one(tmp_path: Path) -> tuple[Store, Cell]:
    """A store with one cell that has a metric of every kind."""
    metrics = ("distance", "worst[of=distance]", "losses")
    store, (cell,) = computed(tmp_path, small(metrics=metrics, keep="last"))
    return store, cell


def put(
    store: Store,
    key: str,
    frame: Callable[[pd.DataFrame], Any] = lambda _: None,
    footer: Callable[[dict[str, Any]], None] = lambda _: None,
    arrays: Callable[[dict[str, np.ndarray]], None] = lambda _: None,
    iterates: Callable[[dict[str, np.ndarray]], None] = lambda _: None,
) -> None:
    """Write a cell as mmbench would, with something changed in it."""
    parts = [
        store.frame(key).copy(),
        store.footer(key),
        {name: value.copy() for name, value in store.arrays(key).items()},
        {name: value.copy() for name, value in store.iterates(key).items()},
    ]
    for at, change in enumerate((frame, footer, arrays, iterates)):
        changed = change(parts[at])  # in place, or another one
        parts[at] = parts[at] if changed is None else changed
    store.put(key, *parts)


def elsewhere(footer: dict[str, Any]) -> None:
    """Computed with another torch."""
    footer["provenance"] |= {"torch": "2.0.0"}


# ---- the same bits ----


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        ("bilinear", "gda"),
        ("bilinear", "accept_reject[k=1]"),
        (GAN, "gda[direction=adam]"),
        (GAN, "acgd"),
    ],
)
def test_a_cell_is_bit_identical(task: str, algorithm: str, tmp_path: Path) -> None:
    """As a whole, and each run without its mates."""
    store, (cell,) = computed(tmp_path, small(task, algorithm, first_seed=5))
    whole = replay(store, cell.key)
    assert (whole.verdict, str(whole)) == (Verdict.IDENTICAL, "bit-identical")
    assert (whole.seeds, whole.cell) == (cell.seeds, cell)
    assert whole.differences == whole.faults == whole.unmatched == []
    for seed in (5, 8):
        alone = replay(store, cell.key, seed=seed)
        assert alone.verdict is Verdict.IDENTICAL
        assert alone.seeds == (seed,)


def test_kept_iterates_and_late_metrics(tmp_path: Path) -> None:
    """A metric that was measured later, from the last iterates, is compared there."""
    store, (cell,) = computed(tmp_path, small(keep="last", metrics=("distance",)))
    more = ("distance", "losses", "worst[of=loss_x]")
    (again,) = plan(Suite(name="again", grids=(small(keep="last", metrics=more),)))
    execute([again], store)
    frame = store.frame(cell.key)
    assert frame["loss_x"].isna().sum() == len(frame) - 4
    assert replay(store, cell.key).verdict is Verdict.IDENTICAL

    def raised(frame: pd.DataFrame) -> None:
        frame.loc[frame["step"] == 20, "loss_x"] += 1e-6

    put(store, cell.key, frame=raised)
    assert replay(store, cell.key).departures[0].column == "loss_x"


def test_a_chain_starts_where_the_one_before_ended(tmp_path: Path) -> None:
    """From what was kept, or by going through it again."""
    store, cells = computed(
        tmp_path,
        small(GAN, "A = gda"),
        small(GAN, "B = gda[direction=adam]", after="A", first_seed=1, seeds=2),
        small(GAN, "C = omd", after="B", first_seed=2, seeds=1),
    )
    last = cells[2].key
    assert replay(store, last).verdict is Verdict.IDENTICAL
    assert steps_of(cells[2], store) == cells[2].steps
    for cell in cells[:2]:
        store.remove(cell.key)
    assert list(store) == [last]
    assert steps_of(cells[2], store) == sum(cell.steps for cell in cells)
    assert replay(store, last, seed=2).verdict is Verdict.IDENTICAL


def test_older_files_tell_metrics_in_words(tmp_path: Path) -> None:
    """They have no whole description; the task's own metrics and those told are it."""
    store, (cell,) = computed(
        tmp_path, small(metrics=("distance", "losses"), keep="last")
    )

    def older(footer: dict[str, Any]) -> None:
        del footer["description"]

    put(store, cell.key, footer=older)
    assert stored_cell(store, cell.key) == cell
    assert replay(store, cell.key).verdict is Verdict.IDENTICAL


def test_no_code_is_chosen_by_a_file(tmp_path: Path) -> None:
    """Words of metrics in a footer name nothing outside mmbench."""
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'done')!r}, 'w')")
    store, (cell,) = computed(tmp_path, small())

    def evils(footer: dict[str, Any]) -> None:
        footer["metrics"][f"{evil}:Metric"] = "0"
        del footer["description"]

    put(store, cell.key, footer=evils)
    with pytest.raises(DescriptionError, match="Unknown metric"):
        replay(store, cell.key)
    assert not (tmp_path / "done").exists()


# ---- what was changed is found ----


def set_cell(column: str, value: Any, row: int = 7) -> Callable[[pd.DataFrame], None]:
    """Another value in one row of a table."""

    def change(frame: pd.DataFrame) -> None:
        if not isinstance(value, str):
            frame[column] = frame[column].astype(type(value))
        frame.loc[row, column] = value

    return change


def nudged(column: str) -> Callable[[pd.DataFrame], None]:
    """The next number in one row of a table."""

    def change(frame: pd.DataFrame) -> None:
        values = frame[column].to_numpy().copy()
        values[7] = np.nextafter(values[7], np.inf)
        frame[column] = values

    return change


def told(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Other values in a footer."""
    return lambda footer: footer.update(values)


def described(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Other values in a footer's description."""
    return lambda footer: footer["description"].update(values)


CHANGED = {
    "the last bit of a number": (dict(frame=nudged("distance")), "distance"),
    "a number": (dict(frame=set_cell("loss_y", 0.5)), "loss_y 0.5 then"),
    "a number gone": (dict(frame=set_cell("loss_x", float("nan"))), "nan then"),
    "text for a number": (
        dict(frame=lambda frame: frame.assign(distance="0")),
        "distance",
    ),
    "of a whole run": (dict(frame=set_cell("distance_worst", 0.1)), "distance_worst"),
    "a counter": (dict(frame=set_cell("grad_x", 1)), "grad_x 1 then"),
    "when it stopped": (dict(frame=set_cell("stopped_at", 3)), "stopped_at"),
    "a reason": (dict(frame=set_cell("reason", "lost")), "reason"),
    "an outcome": (dict(frame=set_cell("status", "converged", 0)), "other outcomes"),
    "one row's outcome": (dict(frame=set_cell("status", "converged")), "status"),
    "a seed": (dict(frame=set_cell("seed", 9)), "one row for each run and record"),
    "a step": (dict(frame=set_cell("step", 19)), "one row for each run and record"),
    "rows less": (
        dict(frame=lambda frame: frame.drop(index=7)),
        "one row for each run and record",
    ),
    "a column less": (
        dict(frame=lambda frame: frame.drop(columns="loss_x")),
        "lacks loss_x",
    ),
    "a label": (dict(frame=set_cell("label", "mine")), "another label"),
    "outcomes": (dict(footer=told(outcomes={"converged": 4})), "other outcomes"),
    "the label told": (dict(footer=told(label="mine")), "another label"),
    "the task told": (dict(footer=told(task="quadratic")), "another task"),
    "the steps told": (dict(footer=told(steps=10)), "another steps"),
    "another description": (dict(footer=described(steps=10)), "differs"),
    "what real data get": (dict(footer=told(ideal={"distance": 0.0})), "real data"),
    "a path": (dict(arrays=lambda a: a["path"].__setitem__((1, 1, 1), 3)), "path"),
    "iterates": (dict(iterates=lambda a: a["z"].__setitem__((0, 1, 1), 3)), "z"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_what_was_changed_is_found(what: str, one: tuple[Store, Cell]) -> None:
    """In a file that is otherwise as mmbench writes it."""
    store, cell = one
    change, said = CHANGED[what]
    assert replay(store, cell.key).verdict is Verdict.IDENTICAL
    put(store, cell.key, **change)
    done = replay(store, cell.key)
    assert done.verdict is Verdict.DIFFERS
    assert said in str(done)


def test_a_change_is_located(one: tuple[Store, Cell]) -> None:
    """By run, step and column, the earliest first; other runs are as stored."""
    store, cell = one
    steps = len(cell.schedule)
    put(store, cell.key, frame=set_cell("distance", 0.25, 2 * steps + 4))
    done = replay(store, cell.key)
    (departure,) = done.departures
    assert (departure.seed, departure.step) == (2, cell.schedule[4])
    assert (departure.column, departure.then) == ("distance", "0.25")
    assert replay(store, cell.key, seed=1).verdict is Verdict.IDENTICAL
    assert replay(store, cell.key, seed=2).verdict is Verdict.DIFFERS


# ---- under other circumstances ----


def scaled(factor: float, since: int, column: str = "distance") -> Callable:
    """A column times a factor from some step on."""

    def change(frame: pd.DataFrame) -> None:
        frame.loc[frame["step"] >= since, column] *= factor

    return change


def test_other_circumstances_are_told(one: tuple[Store, Cell]) -> None:
    """They are no fault, and the same bits are the same bits."""
    store, cell = one
    put(store, cell.key, footer=elsewhere)
    done = replay(store, cell.key)
    assert done.verdict is Verdict.IDENTICAL
    assert done.differences[0].startswith("torch 2.0.0 then, 2.")
    put(store, cell.key, footer=told(width=7))
    assert any("width 7 then" in said for said in replay(store, cell.key).differences)


@pytest.mark.parametrize(
    ("factor", "since", "verdict"),
    [
        (1 + 1e-5, 0, Verdict.AGREES),
        (1 + 5e-3, 4, Verdict.DEPARTS),
        (float("nan"), 4, Verdict.DEPARTS),
        (float("inf"), 4, Verdict.DEPARTS),
        (1 + 5e-3, 0, Verdict.DIFFERS),  # at the start nothing has been amplified
    ],
)
def test_tolerance_elsewhere(
    factor: float, since: int, verdict: Verdict, one: tuple[Store, Cell]
) -> None:
    """Within it a cell agrees; beyond it the first record is told."""
    store, cell = one
    put(store, cell.key, frame=scaled(factor, since), footer=elsewhere)
    done = replay(store, cell.key)
    assert done.verdict is verdict
    assert {one.step for one in done.departures} <= {since}
    if verdict is Verdict.AGREES:
        assert done.largest == pytest.approx(1e-5, rel=0.01)
    if verdict is Verdict.DEPARTS:
        assert "until 4 of 4 runs depart, first at step 4 of seed 0" in str(done)
    # The same numbers, circumstances being equal, are not what was computed.
    put(store, cell.key, footer=told(provenance=provenance("cpu")))
    assert replay(store, cell.key).verdict is Verdict.DIFFERS


def test_the_rule_of_agreement() -> None:
    """Relative to the number, but for roundings of the largest one before it."""
    (cell,) = plan(Suite(name="x", grids=(small(),)))
    agree = Comparison(cell, exact=False).agree
    t, e = TOLERANCE["float32"], float(np.finfo(np.float32).eps)
    then = np.array([1.0, 1.0, 1e-9, 1e-9, 0.0, np.nan, np.inf, np.inf, 3.0])
    now = np.array(
        [1 + 0.9 * t, 1 + 1.1 * t, 10 * e, 17 * e, 0.0, np.nan, np.inf, 1.0, np.nan]
    )
    expected = [True, False, True, False, True, True, True, False, False]
    assert agree(then, now).tolist() == expected
    assert agree(now, then).tolist() == expected
    # Roundings of a number that comes later are no excuse.
    assert agree([1e-9, 1.0], [10 * e, 1.0]).tolist() == [False, True]


# ---- cells that cannot, or need more ----


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """A class from outside."""
    (tmp_path / "mine.py").write_text(OUTSIDE)
    return f"{tmp_path / 'mine.py'}:Mine"


def test_outside_classes_are_asked_for(mine: str, tmp_path: Path) -> None:
    """By name, and refused when edited."""
    store, (cell,) = computed(tmp_path, small(algorithm=f"M = {mine}"))
    with pytest.raises(DescriptionError, match=r"--outside path/to/mine\.py:Mine"):
        replay(store, cell.key)
    assert replay(store, cell.key, external=[mine]).verdict is Verdict.IDENTICAL
    edited = tmp_path / "edited" / "mine.py"
    edited.parent.mkdir()
    edited.write_text(OUTSIDE.replace("0.3", "0.2"))
    with pytest.raises(DescriptionError, match="must be the one that was used"):
        replay(store, cell.key, external=[f"{edited}:Mine"])


def test_an_error_is_replayed_with_all_runs(mine: str, tmp_path: Path) -> None:
    """The run that raised may be another than the one that is compared."""
    words = f"M = {mine}[limit=1.5]"
    store, (cell,) = computed(tmp_path, small(algorithm=words, seeds=8))
    assert "error" in store.footer(cell.key)["outcomes"]
    for seed in range(8):
        done = replay(store, cell.key, seed=seed, external=[mine])
        assert done.verdict is Verdict.IDENTICAL


def test_cells_that_a_limit_ended_are_not_replayed(one: tuple[Store, Cell]) -> None:
    """They would end elsewhere."""
    store, cell = one
    put(store, cell.key, footer=told(outcomes={"timeout": 4}))
    with pytest.raises(DescriptionError, match="it ended by a limit: timeout"):
        replay(store, cell.key)


@pytest.mark.parametrize("value", [None, 3, [], {}, {"class": "os:system"}, "cell"])
def test_files_that_describe_nothing(value: Any, one: tuple[Store, Cell]) -> None:
    """Are refused in a sentence."""
    store, cell = one
    put(store, cell.key, footer=told(description=value))
    with pytest.raises(DescriptionError):
        replay(store, cell.key)


def test_keys_by_their_beginning(tmp_path: Path) -> None:
    """One must begin so."""
    store, cells = computed(tmp_path, small(), small(algorithm="omd"))
    for cell in cells:
        assert key_of(store, cell.key[:6]) == key_of(store, cell.key) == cell.key
    for beginning in ("", "x", "../store"):
        with pytest.raises(StoreError, match="must be the beginning of one key"):
            key_of(store, beginning)


def test_draws_are_random_and_repeatable(one: tuple[Store, Cell]) -> None:
    """Every key and every seed has its chance."""
    _, cell = one
    keys = [f"{n:024x}" for n in range(20)]
    assert drawn(keys, 5, 0) == drawn(keys[::-1], 5, 0)
    assert len(set(drawn(keys, 5, 0))) == 5
    assert sorted(drawn(keys, 50, 0)) == keys
    met = {key for draw in range(60) for key in drawn(keys, 5, draw)}
    assert met == set(keys)
    assert {drawn_seed(cell, draw) for draw in range(60)} == set(cell.seeds)


# ---- the command line ----


def mmbench(*words: Any) -> Result:
    """What the command line says."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_replay_says_what_came_of_it(one: tuple[Store, Cell]) -> None:
    """Exit code 0, or 1 with the place."""
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
    put(store, cell.key, frame=set_cell("distance", 0.25))
    bad = mmbench("replay", cell.key, *place)
    assert bad.exit_code == 1
    assert "is not what mmbench computes: it differs in 1 of 4 runs" in bad.stderr
    put(store, cell.key, footer=elsewhere)
    far = mmbench("replay", cell.key, *place)
    assert far.exit_code == 0
    assert "Other circumstances: torch 2.0.0 then" in far.stdout


def test_verify_finds_an_edited_store(tmp_path: Path) -> None:
    """One value of one table is enough, if it is drawn."""
    algorithms = ("gda", "omd", "extragradient")
    grid = Grid(tasks=("bilinear",), algorithms=algorithms, seeds=2, steps=10)
    store, cells = computed(tmp_path, grid)
    good = mmbench("verify", store.folder, "--sample", 2)
    assert good.exit_code == 0
    assert "of 2 cells, 2 bit-identical." in good.stdout.splitlines()[-1]
    assert len(good.stderr.splitlines()) == 2
    assert good.stderr.startswith("[1/2] ")
    assert mmbench("verify", store.folder, "--sample", 2).stdout == good.stdout
    everything = mmbench("verify", store.folder, "--sample", 9)
    assert "of 3 cells, 3 bit-identical." in everything.stdout
    for cell in cells[:1]:  # all its runs, so that whichever is drawn is one
        put(store, cell.key, frame=scaled(0.999, 10))
    bad = mmbench("verify", store.folder, "--sample", 9)
    assert bad.exit_code == 1
    assert "is not verified: of 3 cells" in bad.stderr
    assert "1 differs" in bad.stderr
    (line,) = [line for line in bad.stdout.splitlines() if "differs" in line]
    assert cells[0].key[:8] in line
    assert "distance" in line


def test_verify_goes_on_after_what_it_cannot_compute(tmp_path: Path, mine: str) -> None:
    """A damaged file and an unknown class are not verified; the rest is computed."""
    store, cells = computed(
        tmp_path, small(), small(algorithm="omd"), small(algorithm=f"M = {mine}")
    )
    store.table(cells[0].key).write_bytes(b"PAR1")
    bad = mmbench("verify", store.folder)
    assert bad.exit_code == 1
    lines = "\n".join(bad.stdout.splitlines())
    assert lines.count("not computed: ") == 2
    assert lines.count("bit-identical") == 1
    assert "say where it lies: --outside path/to/mine.py:Mine" in lines
    assert mmbench("verify", tmp_path / "none").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert "has none" in mmbench("verify", tmp_path / "empty").stderr


def test_a_foreign_file_does_not_speak_to_the_terminal(
    one: tuple[Store, Cell],
) -> None:
    """Nor break the answer into lines of its own."""
    store, cell = one
    put(store, cell.key, footer=described(label="\x1b[2Jgone"))
    refused = mmbench("replay", cell.key, "--store", store.folder)
    assert refused.exit_code == 2
    assert "\x1b" not in refused.output

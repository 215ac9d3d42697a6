"""Planning: suites to cells, keys, labels and misfits."""

from typing import Any

import pytest
from hypothesis import given, settings
from strategies import descriptions, spelled_differently

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.gda import GDA
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.engine.cell import Cell
from mmbench.metrics import METRICS
from mmbench.runner.plan import metrics_for, parse_labelled, plan
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import TASKS


def grid(**options: Any) -> Grid:
    """A grid, by default of one cell."""
    return Grid(**{"tasks": ("bilinear",), "algorithms": ("gda",)} | options)


def cells(*grids: Grid) -> tuple[Cell, ...]:
    """The plan of some grids."""
    return plan(Suite(name="test", grids=grids))


def key(**options: Any) -> str:
    """The key of a grid's only cell."""
    (cell,) = cells(grid(**options))
    return cell.key


def test_cells_come_in_order() -> None:
    """Grids in order, within them tasks, then algorithms."""
    planned = cells(
        grid(tasks=("bilinear", "quadratic"), algorithms=("gda", "omd")),
        grid(tasks=("dirac_gan",), algorithms=("cgd",)),
    )
    assert [f"{cell.task}/{cell.algorithm}" for cell in planned] == [
        "bilinear/gda",
        "bilinear/omd",
        "quadratic/gda",
        "quadratic/omd",
        "dirac_gan/cgd",
    ]


def test_a_cell_in_two_grids_is_planned_once() -> None:
    """Equal cells have one place."""
    assert len(cells(grid(), grid(algorithms=("gda", "omd")))) == 2


def test_grids_that_share_a_cell_share_its_metrics() -> None:
    """What either grid asks for is measured."""
    (cell,) = cells(grid(metrics=("distance",)), grid(metrics=("distance", "gap")))
    assert [column.name for column in cell.columns] == ["distance", "gap"]


def test_one_setting_has_one_label() -> None:
    """A cell under two labels would be missing under one of them."""
    with pytest.raises(DescriptionError, match="'A'.*'B'"):
        cells(grid(algorithms=("A = gda",)), grid(algorithms=("B = gda",)))


@pytest.mark.parametrize(
    "options",
    [
        {"tasks": ("quadratic",)},
        {"tasks": ("bilinear[dim=2]",)},
        {"algorithms": ("omd",)},
        {"algorithms": ("gda[step_size=0.2]",)},
        {"seeds": 31},
        {"first_seed": 1},
        {"steps": 999},
        {"records": 41},
        {"dtype": "float64"},
    ],
)
def test_keys_tell_cells_apart(options: dict) -> None:
    """Whatever changes the numbers changes the key."""
    assert key(**options) != key()


@pytest.mark.parametrize(
    "options",
    [
        {"metrics": ("gap",)},
        {"algorithms": ("Label = gda",)},
        {"algorithms": ("gda[step_size=0.1]",)},
        {"algorithms": (GDA(),)},
        {"algorithms": ("gda[direction=plain]",)},
        {"tasks": (TASKS.build("bilinear"),)},
        {"tasks": ("bilinear[dim=1,box=0]",)},
    ],
)
def test_keys_ignore_what_moves_no_number(options: dict) -> None:
    """Metrics are columns, labels are names, spelled-out defaults are defaults."""
    assert key(**options) == key()


@given(descriptions(ALGORITHMS), descriptions(TASKS))
@settings(max_examples=60, deadline=None)
def test_equal_cells_have_equal_keys(algorithm: Any, task: Any) -> None:
    """However its parts are spelled."""

    def cell(algorithm: Any, task: Any) -> Cell:
        return Cell(
            task=task,
            algorithm=algorithm,
            seeds=(0, 1),
            steps=10,
            metrics=metrics_for(task, []),
        )

    try:
        one = cell(algorithm, task)
    except MisfitError:
        return
    other = cell(spelled_differently(algorithm), spelled_differently(task))
    assert one == other
    assert one.key == other.key
    assert len(one.key) == 24


def test_seeds_of_a_grid() -> None:
    """Consecutive ones from the first."""
    (cell,) = cells(grid(seeds=3, first_seed=7))
    assert cell.seeds == (7, 8, 9)


# ---- labels ----


def test_labels() -> None:
    """A label stands before ' = ', else the words are the label."""
    assert parse_labelled("My GDA = gda[step_size=0.2]") == (
        "My GDA",
        GDA(step_size=0.2),
    )
    assert parse_labelled("gda[step_size=0.2]") == (
        "gda[step_size=0.2]",
        GDA(step_size=0.2),
    )
    assert parse_labelled("gda[step_size=0.1]")[0] == "gda"
    assert parse_labelled("GDA [0.1] = gda") == ("GDA [0.1]", GDA())
    assert parse_labelled('"x" = gda') == ('"x"', GDA())
    with pytest.raises(DescriptionError, match=r"a = b/none\.py"):
        parse_labelled('"a = b/none.py":Mine')
    assert parse_labelled("gda[step_size = 0.2]")[0] == "gda[step_size=0.2]"
    assert parse_labelled(GDA(step_size=0.2)) == (
        "gda[step_size=0.2]",
        GDA(step_size=0.2),
    )


def test_labels_are_unique_on_a_task() -> None:
    """Two settings under one label on one task would be averaged by mistake."""
    with pytest.raises(DescriptionError, match="Labels must be unique on a task"):
        cells(grid(algorithms=("a = gda", "a = omd")))
    assert (
        len(
            cells(
                grid(algorithms=("a = gda",)),
                grid(tasks=("quadratic",), algorithms=("a = omd",)),
            )
        )
        == 2
    )


# ---- metrics ----


def test_metrics_of_a_cell() -> None:
    """Those chosen or the task's own, and those of its target, each once."""
    task = TASKS.build("bilinear")
    own = metrics_for(task, [])
    assert [str(one) for one in own] == [
        "distance",
        "field_norm",
        "gap",
        "worst",
        "rate",
    ]
    assert metrics_for(task, [METRICS.build("gap")]) == tuple(
        METRICS.build(words) for words in ("distance", "gap")
    )
    (cell,) = cells(grid(metrics=("gap", "distance", "gap")))
    assert [column.name for column in cell.columns] == ["gap", "distance"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"metrics": ("mode_coverage",)}, "mode_coverage needs a game "),
        (
            {"tasks": ("quadratic",), "metrics": ("gap",)},
            "gap needs a game whose restricted",
        ),
        (
            {"tasks": ("quadratic",), "metrics": ("distance[concept=nash]",)},
            "known Nash",
        ),
        (
            {"tasks": ("dirac_gan",), "algorithms": ("svre",)},
            "svre needs a game whose losses are means of finitely many terms; "
            "dirac_gan is not one.",
        ),
        (
            {"tasks": ("digits01",), "metrics": ("gap",)},
            "gap needs a game whose restricted gap",
        ),
        ({"metrics": ("worst[of=gap]",)}, "needs the column 'gap'"),
        ({"metrics": ("forgetting",)}, "needs the column 'modes'"),
    ],
)
def test_misfits_are_found_before_work(options: dict, sentence: str) -> None:
    """Who needs what, and which task does not give it."""
    with pytest.raises(MisfitError) as caught:
        cells(grid(**options))
    assert sentence in str(caught.value)


def test_a_cell_must_measure_its_target() -> None:
    """Made by hand without the target's metric, a cell is refused in a sentence."""
    with pytest.raises(MisfitError, match="needs the metric distance for its target"):
        Cell(task=TASKS.build("bilinear"), algorithm=GDA(), seeds=(0,), steps=1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tasks": ()}, "Grid.tasks must name at least one"),
        ({"algorithms": ()}, "Grid.algorithms must name at least one"),
        (
            {"seeds": 0},
            "Grid.seeds must be a whole number at least 1 and at most 1e+06; got 0.",
        ),
        ({"seeds": 10**9}, "Grid.seeds must be"),  # a cell lists them
        ({"records": 10**9, "steps": 10**10}, "Grid.records must be"),
        ({"first_seed": -1}, "Grid.first_seed must be a whole number at least 0"),
        ({"steps": 0}, "Grid.steps must be"),
        ({"records": 0}, "Grid.records must be"),
        ({"steps": 1.5}, "Grid.steps must be"),
        ({"dtype": "float16"}, "Grid.dtype must be 'float32' or 'float64'"),
        ({"tasks": ("bilinaer",)}, "Did you mean 'bilinear'?"),
        ({"tasks": (GDA(),)}, "must be a task"),
        ({"after": "nobody"}, "known: none."),
        ({"inherit": "x"}, "Grid.inherit must be 'both' without Grid.after; got 'x'."),
    ],
)
def test_bad_grids_are_refused(options: dict, sentence: str) -> None:
    """One sentence about the first fault."""
    with pytest.raises(DescriptionError) as caught:
        cells(grid(**options))
    assert sentence in str(caught.value)


def test_an_empty_suite_has_no_cells() -> None:
    """Nothing is planned from nothing."""
    assert plan(Suite(name="empty")) == ()


# ---- chains ----


FIRST = grid(algorithms=("first = gda",), steps=20)


def test_a_grid_goes_on_from_a_label() -> None:
    """The cell before is found by its label, and its end is kept."""
    start, then, last = cells(
        FIRST,
        grid(algorithms=("second = omd",), after="first", inherit="x"),
        grid(algorithms=("third = omd",), after="second"),
    )
    assert (start.after, start.stage, start.keep) == (None, 0, "last")
    assert (then.after.key, then.stage, then.keep) == (start.key, 1, "last")
    assert (then.inherit, last.inherit) == ("x", "both")
    assert (last.after.key, last.stage, last.keep) == (then.key, 2, "none")


def test_what_was_to_be_kept_stays_so() -> None:
    """A grid that keeps all iterates does so, whoever goes on from it."""
    start, _ = cells(
        grid(algorithms=("first = gda",), keep="all"),
        grid(algorithms=("omd",), after="first"),
    )
    assert start.keep == "all"


def test_cells_in_two_grids_keep_the_most() -> None:
    """What either grid wants kept is kept."""
    for order in (("last", "all"), ("all", "none", "last")):
        (cell,) = cells(*(grid(keep=one) for one in order))
        assert cell.keep == "all"


def test_the_same_task_is_preferred() -> None:
    """Each task goes on from itself; one that lacks the label, from the only other."""
    tasks = ("bilinear", "dirac_gan")
    planned = cells(
        grid(tasks=tasks, algorithms=("first = gda",)),
        grid(tasks=tasks, algorithms=("second = gda",), after="first"),
    )
    assert [cell.after.task for cell in planned[2:]] == [
        cell.task for cell in planned[:2]
    ]
    game = "bilinear[start_at=(1,1)]"
    *_, other = cells(FIRST, grid(tasks=(game,), algorithms=("omd",), after="first"))
    assert str(other.after.task) == "bilinear"
    with pytest.raises(DescriptionError, match=r"'first', which names 2; known: first"):
        cells(
            grid(tasks=tasks, algorithms=("first = gda",)),
            grid(tasks=("quadratic",), algorithms=("omd",), after="first"),
        )


def test_a_label_of_no_earlier_grid_is_refused() -> None:
    """The sentence lists the earlier ones; a grid's own and later ones do not count."""
    with pytest.raises(DescriptionError) as caught:
        cells(FIRST, grid(algorithms=("omd",), after="frist"))
    assert str(caught.value) == (
        "Grid.after must be the label of one cell of an earlier grid; got 'frist', "
        "which names 0; known: first."
    )
    for grids in (
        [grid(algorithms=("own = omd",), after="own")],
        [grid(algorithms=("omd",), after="first"), FIRST],
    ):
        with pytest.raises(DescriptionError, match="which names 0; known: none"):
            cells(*grids)


@pytest.mark.parametrize(
    ("first_seed", "seeds", "fits"),
    [(5, 3, True), (6, 2, True), (7, 1, True), (4, 2, False), (6, 3, False)],
)
def test_seeds_must_be_those_of_the_cell_before(
    first_seed: int, seeds: int, fits: bool
) -> None:
    """A run starts where the run with its seed ended, so there must be one."""
    grids = (
        grid(algorithms=("first = gda",), first_seed=5, seeds=3),
        grid(algorithms=("omd",), after="first", first_seed=first_seed, seeds=seeds),
    )
    if fits:
        assert cells(*grids)[1].after.label == "first"
        return
    with pytest.raises(DescriptionError) as caught:
        cells(*grids)
    assert str(caught.value) == (
        "A grid after 'first' must have seeds of it, 5 to 7; got "
        f"{first_seed} to {first_seed + seeds - 1}."
    )


def chained(first: dict, **options: Any) -> str:
    """The key of a cell that goes on from another."""
    start = grid(**{"algorithms": ("first = gda",)} | first)
    return cells(start, grid(algorithms=("then = omd",), after="first", **options))[
        -1
    ].key


def test_keys_of_a_chain() -> None:
    """What came before is part of the key: all of it that moves a number."""
    plain = chained({})
    assert plain != key(algorithms=("omd",))
    for first in ({"steps": 999}, {"algorithms": ("first = gda[step_size=0.2]",)}):
        assert chained(first) != plain
    for player in ("x", "y"):
        assert chained({}, inherit=player) != plain
    for first in ({"metrics": ("gap",)}, {"keep": "all"}):
        assert chained(first) == plain
    assert chained({}, keep="last") == plain


def test_keys_of_cells_without_a_chain_are_as_they_were() -> None:
    """Fields that were added later leave the keys of published results alone.

    These stand in reports/gan/cells.csv, computed before there were chains. Raising
    `ENGINE_VERSION`, or the version of their task or algorithm, is meant to move them.
    """
    keys = {cell.label: cell.key for cell in plan(SUITES["gan"])[:7]}
    assert keys["GDA(1)"] == "efc4f8b227d3e17168987039"
    assert keys["ACGD"] == "107a3d18531dd90c1a5b9335"
    assert key(keep="all") == key(keep="last") == key()

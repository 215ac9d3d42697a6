"""Tests of the plots: what they take, what they draw, and what they refuse."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from report_results import DIGITS, GAUSSIANS, only, section_of

import mmbench
from mmbench.analysis.results import Results, with_origin
from mmbench.core.errors import DescriptionError, MmbenchError, StoreError

PLOTS: dict[str, tuple[Callable[..., Axes], dict[str, Any]]] = {
    "convergence": (mmbench.plot.convergence, {"task": "bilinear"}),
    "cost": (mmbench.plot.convergence, {"task": DIGITS, "against": "cost"}),
    "portraits": (mmbench.plot.phase_portrait, {"task": "bilinear"}),
    "outcomes": (mmbench.plot.outcomes, {"task": "bilinear"}),
    "modes": (mmbench.plot.modes, {"task": GAUSSIANS}),
    "histogram": (mmbench.plot.modes, {"task": GAUSSIANS, "label": "GDA"}),
    "points": (mmbench.plot.samples, {"task": GAUSSIANS}),
    "images": (mmbench.plot.samples, {"task": DIGITS}),
    "games": (mmbench.plot.games, {}),
    "one board": (mmbench.plot.leaderboard, {"task": "bilinear"}),
}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close the figures of a test."""
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def frame(results: Results) -> pd.DataFrame:
    """Return the table of all results, which knows where they are."""
    return with_origin(results._replace(frame=results.frame.copy()))


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_draws_on_given_axes_or_makes_some(
    name: str, frame: pd.DataFrame
) -> None:
    """It returns the axes that it drew on, and nothing else is made."""
    plot, options = PLOTS[name]
    _, given = plt.subplots()
    assert plot(frame, **options, ax=given) is given
    assert given.has_data() or given.images
    assert len(plt.get_fignums()) == 1
    assert plot(frame, **options) is not given
    assert len(plt.get_fignums()) == 2


def lines(axes: Axes) -> list[np.ndarray]:
    """Return the points of all lines of axes."""
    return [np.asarray(line.get_xydata()) for line in axes.lines]


def test_the_report_draws_the_same_curves(
    results: Results, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the first figure of the page is a line of the plot."""
    from mmbench.analysis import style

    drawn: list[Axes] = []
    monkeypatch.setattr(
        style, "svg", lambda figure, *_: drawn.append(figure.axes[0]) or ""
    )
    assert section_of("convergence", only(results, task="dirac_gan"))
    plotted = mmbench.plot.convergence(frame, "dirac_gan")
    assert len(lines(plotted)) == 1
    for ours, theirs in zip(lines(plotted), lines(drawn[0]), strict=True):
        assert np.array_equal(ours, theirs, equal_nan=True)


def test_the_order_of_rows_does_not_matter(frame: pd.DataFrame) -> None:
    """Rows of a cell are put in order before they are taken apart into runs."""
    part = frame[(frame["task"] == "bilinear") & (frame["label"] == "GDA")]
    shuffled = part.sample(frac=1, random_state=0)
    first, second = (mmbench.plot.convergence(one) for one in (part, shuffled))
    assert all(map(np.array_equal, lines(first), lines(second)))


def test_a_part_of_a_table_still_has_its_paths(frame: pd.DataFrame) -> None:
    """A table that was filtered, given new labels and sorted knows its store."""
    part = frame[frame["task"] == "bilinear"].assign(label="renamed " + frame["label"])
    drawn = mmbench.plot.phase_portrait(part.sort_values("step"))
    assert drawn.get_legend().get_texts()[0].get_text() == "renamed GDA"
    bare = part.copy()
    bare.attrs.clear()
    mmbench.plot.convergence(bare)
    with pytest.raises(DescriptionError, match="must have paths.*none in memory"):
        mmbench.plot.phase_portrait(bare)


def test_runs_in_memory_have_paths_and_survive_parquet(tmp_path: Path) -> None:
    """Without a store the table itself holds what is drawn, but for arrays in files."""
    made = mmbench.run(["bilinear"], ["gda"], seeds=2, steps=4, records=2)
    assert len(lines(mmbench.plot.phase_portrait(made, runs=2))) == 6
    made.to_parquet(tmp_path / "table.parquet")
    again = pd.read_parquet(tmp_path / "table.parquet")
    drawn = mmbench.plot.convergence(again)
    assert drawn.get_ylabel() == "distance to the solutions"
    pd.testing.assert_frame_equal(mmbench.leaderboard(again), mmbench.leaderboard(made))


def misuse(frame: pd.DataFrame) -> dict[str, tuple[Callable[[], Any], str]]:
    """Return wrong uses, each with a part of the sentence about it."""
    one = frame[(frame["task"] == "bilinear") & (frame["label"] == "GDA")]
    return {
        "no step": (
            lambda: mmbench.plot.outcomes(one.drop(columns=["step", "key"])),
            "lacks step, key",
        ),
        "no rows": (lambda: mmbench.plot.outcomes(one.iloc[:0]), "at least one row"),
        "ragged": (lambda: mmbench.plot.convergence(one.iloc[1:]), "same records"),
        "twice": (
            lambda: mmbench.leaderboard(pd.concat([one, one])),
            "once each",
        ),
        "several tasks": (lambda: mmbench.plot.outcomes(frame), "task must be given"),
        "unknown task": (
            lambda: mmbench.plot.outcomes(frame, "bilinaer"),
            "Did you mean 'bilinear'",
        ),
        "unknown metric": (
            lambda: mmbench.plot.convergence(one, metric="distanc"),
            "Did you mean 'distance'",
        ),
        "unknown axis": (
            lambda: mmbench.plot.convergence(one, against="time"),
            "Unknown against 'time'",
        ),
        "no modes": (lambda: mmbench.plot.modes(one), "counts modes or digits"),
        "no samples": (lambda: mmbench.plot.samples(one), "must have samples"),
        "one record": (
            lambda: mmbench.plot.convergence(one[one["step"] == 0]),
            "changes between two records",
        ),
        "unknown board": (
            lambda: mmbench.leaderboard(one, "quadratic"),
            "Unknown task 'quadratic'",
        ),
        "no store": (lambda: mmbench.plot.outcomes("no/such/store"), "no/such/store"),
        "keyword": (lambda: mmbench.plot.outcomes(one, axes=None), "Unknown argument"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "no step",
        "no rows",
        "ragged",
        "twice",
        "several tasks",
        "unknown task",
        "unknown metric",
        "unknown axis",
        "no modes",
        "no samples",
        "one record",
        "unknown board",
        "no store",
        "keyword",
    ],
)
def test_misuse_is_one_sentence(name: str, frame: pd.DataFrame) -> None:
    """What cannot be drawn is refused before a figure is made."""
    call, sentence = misuse(frame)[name]
    with pytest.raises(MmbenchError, match=sentence):
        call()
    assert not plt.get_fignums()


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(StoreError, match="must have results"):
        mmbench.plot.outcomes(tmp_path / "store")


def test_the_leaderboard_is_that_of_the_page(
    results: Results, frame: pd.DataFrame
) -> None:
    """The table of Python has the numbers of leaderboard.csv."""
    section = section_of("summary", only(results, label="GDA"))
    assert section
    expected = section.files["leaderboard.csv"].drop(columns="alike")
    gda = frame[frame["label"] == "GDA"]
    table = mmbench.leaderboard(gda)
    assert str(table["converged"].dtype) == "Int64"
    pd.testing.assert_frame_equal(
        table.drop(columns="alike"), expected, check_dtype=False
    )
    board = mmbench.leaderboard(gda, "bilinear")
    assert set(board["scope"]) == {"task"}

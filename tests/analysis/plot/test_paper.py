"""Figures of papers: every one has a drawing, and says what its runs show."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mmbench
from mmbench.analysis.plot import paper
from mmbench.analysis.plot.figure import drawing, lay_out, to_bytes
from mmbench.analysis.results import Results, results_of
from mmbench.studies.figures import PAIRS, PAPER_FIGURES
from mmbench.suites import SUITES

MAPS = {"icr/stability"}  # are drawn from no runs


def made(name: str, seeds: int = 3) -> Results:
    """Return the runs of a figure, fewer of them."""
    suite = PAPER_FIGURES[name].runs
    assert suite
    tables = [
        mmbench.run(
            grid.tasks,
            grid.algorithms,
            grid.metrics,
            seeds=min(seeds, grid.seeds),
            steps=grid.steps,
            records=grid.records,
            dtype=grid.dtype,
            workers=1,
        )
        for grid in suite.grids
    ]
    parts = [results_of(table) for table in tables]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole._replace(
            frame=pd.concat([whole.frame, part.frame]),
            footers=whole.footers | part.footers,
            in_memory={**whole.in_memory, **part.in_memory},
        )
    return whole


@pytest.fixture(scope="module")
def rates() -> Results:
    """Return runs with all pairs of step sizes of the ICR paper."""
    return made("icr/6")


def test_every_figure_has_a_drawing_and_runs() -> None:
    assert {*paper.DRAWINGS} | MAPS == {*PAPER_FIGURES}
    for name, figure in PAPER_FIGURES.items():
        assert figure.runs or figure.suites or name in MAPS
        assert {*figure.suites} <= {*SUITES}
        assert figure.theirs.endswith((".", ".)"))


def test_a_sentence_has_the_numbers_of_the_runs(rates: Results) -> None:
    """Where runs converge, come nearer or diverge, and when, is said of each rule."""
    ours = paper.DRAWINGS["icr/6"](rates).ours
    frame = rates.frame
    slow, fast = (
        frame.loc[frame["label"] == f"simultaneous {pair}", "stopped_at"].median()
        for pair in PAIRS[1:]
    )
    assert slow > 2 * fast
    when = f"in the median at step {slow:.0f}"
    assert f"simultaneous (0.03, 0.03) diverges in 3 of 3 runs, {when}" in ours
    assert "simultaneous (0.09, 0.01) converges" in ours
    assert "alternating (0.03, 0.03) comes nearer" in ours
    assert "At (0.03, 0.03) alternating steps end unlike simultaneous ones" in ours


def test_agreeing_rules_are_not_called_unlike(rates: Results) -> None:
    """Of runs that all shrink, nothing is said of alternating steps."""
    frame = rates.frame.assign(
        status="finished", distance=1 / (1 + rates.frame["step"])
    )
    ours = paper.DRAWINGS["icr/6"](rates._replace(frame=frame)).ours
    assert "unlike" not in ours
    assert "diverges" not in ours


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_figure_has_the_same_bytes_each_time(suffix: str, rates: Results) -> None:
    drawn = []
    for _ in range(2):
        with drawing():
            layout = paper.DRAWINGS["icr_blog/rates"](rates).layout
            drawn.append(to_bytes(lay_out(layout, "page"), suffix))
    assert drawn[0] == drawn[1]


def test_the_run_drawn_has_the_median_longest_stay() -> None:
    """It is that of the lower median, by the column that the rule counts."""
    suite = PAPER_FIGURES["icr/7"].runs
    assert suite
    grid = replace(suite.grids[0], algorithms=suite.grids[0].algorithms[:1])
    frame = mmbench.run(
        grid.tasks, grid.algorithms, grid.metrics, seeds=4, steps=300, records=300
    )
    results = results_of(frame)
    run = paper._run_of_median(results, paper._projected("(1,0.01)"), "GDA")
    stays = frame.groupby("seed")[paper.studies.STAY].last()
    assert run[paper.studies.STAY].iloc[0] == np.sort(stays)[1]


@pytest.mark.parametrize(
    "name", ["icr/3", "lecture/dirac", "lecture/regularised", "lecture/rk4"]
)
@pytest.mark.slow
def test_figures_of_small_runs_are_drawn(name: str) -> None:
    shown = paper.DRAWINGS[name](made(name))
    with drawing():
        assert to_bytes(lay_out(shown.layout, "page"), ".png").startswith(b"\x89PNG")


def images(labels: dict[str, float], falls: dict[str, float]) -> Results:
    """Return a table like that of runs on CIFAR10.

    Args:
        labels: label to the Fréchet distance at the end.
        falls: label to the rate at which the loss of y falls in a step.
    """
    steps = np.arange(0, 101, 10)
    rows = [
        pd.DataFrame(
            {
                "task": "cifar10",
                "label": label,
                "seed": seed,
                "step": steps,
                "grad_x": steps,
                "grad_y": steps,
                "hvps": 0,
                "values": 0,
                "samples": 0,
                "cell_seconds": 0.0,
                "status": "finished",
                "stopped_at": 100,
                "reason": "",
                "fd_cifar10cnn_10k": distance + 100 - steps,
                "cs_cifar10cnn_10k": 1 / distance + steps / 100,
                "loss_y": 1.4 * np.exp(-falls.get(label, 0) * steps),
                "key": label,
            }
        )
        for label, distance in labels.items()
        for seed in range(2)
    ]
    return results_of(pd.concat(rows, ignore_index=True))


def test_new_discriminators_are_told_by_their_generators() -> None:
    names = {"G 10": 50.0, "G 90": 5.0, "D against G 10": 50.0, "D against G 90": 5.0}
    falls = {"D against G 10": 0.08, "D against G 90": 0.01}
    shown = paper.DRAWINGS["icr/5"](images(names, falls))
    assert shown.ours.endswith("G 10 with 50: at step 10; G 90 with 5: at step 70.")
    with drawing():
        assert len(lay_out(shown.layout, "page").axes) == 1


def test_the_best_of_cifar10_is_named_by_both_measures() -> None:
    shown = paper.DRAWINGS["icr/9"](images({"Adam": 30.0, "ACGD": 20.0}, {}))
    assert "classifier score (cifar10cnn, 10000 images) is 1.05 of ACGD" in shown.ours
    assert "Fréchet distance (cifar10cnn, 10000 images) is 20 of ACGD" in shown.ours
    with drawing():
        drawn = lay_out(shown.layout, "page")
    assert [axes.get_xlabel()[:5] for axes in drawn.axes] == ["steps", "gradi"] * 2

"""The answer: which method, at which cost, and how sure that is."""

import numpy as np
import pandas as pd
import pytest
from report_results import only, section_of, texts_of, without_metrics, without_target

import mmbench
from mmbench.analysis.leaderboard import REPETITIONS, Boards, boards
from mmbench.analysis.report.sections import RANKED
from mmbench.analysis.report.sections.base import Section
from mmbench.analysis.results import Results, results_of

TASKS = ["bilinear", "quadratic"]
METHODS = [
    *("fast = gda", "slow = gda[step_size=0.2]", "lost = gda[step_size=0.3]"),
    "twin = gda[step_size=0.4]",
]


@pytest.fixture(scope="module")
def with_a_twin() -> pd.DataFrame:
    """A method that reaches the targets, one at twice its cost, one that fails.

    The fourth is as good as the first.
    """
    frame = mmbench.run(TASKS, METHODS, seeds=20, steps=40, records=40)
    assert isinstance(frame, pd.DataFrame)
    for label, at in (("fast", 10), ("slow", 20), ("lost", 0), ("twin", 10)):
        chosen = frame["label"] == label
        frame.loc[chosen, "status"] = "converged" if at else "finished"
        frame.loc[chosen, "stopped_at"] = at or 40
    # Runs differ, so that they are as many observations.
    frame["distance"] += frame["seed"] * 1e-3
    return frame


@pytest.fixture
def runs(with_a_twin: pd.DataFrame) -> pd.DataFrame:
    """The first three."""
    return with_a_twin[with_a_twin["label"] != "twin"]


def answer(frame: pd.DataFrame | Results) -> Section:
    made = section_of("answer", results_of(frame))
    assert made
    return made


def test_the_first_sentences_say_which_how_sure_and_at_which_cost(
    runs: pd.DataFrame,
) -> None:
    which, sure, cost = answer(runs).prose
    assert which.startswith(
        "Over 2 tasks and 3 methods, use “fast”: it reaches the target in 100 % of its "
        "runs (95 % confidence interval: "
    )
    assert sure == (
        "How sure is that? Each of the 2 others is shown to be worse on a board of "
        "capacity 64."
    )
    assert cost == (
        "At which cost? On 2 of 2 tasks more than half of its runs reach the target; "
        "on 2 of them it needs at most 2 times the cost of the cheapest method."
    )


def test_each_task_has_its_method_and_its_target_in_words(runs: pd.DataFrame) -> None:
    (part,) = answer(runs).subsections
    first = dict(zip(part.tables[0].columns, texts_of(part.tables[0])[0], strict=True))
    assert first == {
        "Task": "bilinear",
        "First": "fast",
        "#Success, or median": "100 % (83 to 100 %)",
        "#Cost to target": "20",
        "How sure": "apart from all others",
        "Not shown to be worse": "–",
        "A run succeeds if": "distance to the solutions at most 0.001",
    }


def test_an_interval_is_for_what_is_drawn(runs: pd.DataFrame) -> None:
    results = results_of(runs)
    made = boards(results)
    name, one = next(iter(made.by_task.items()))
    made.by_task[name] = one._replace(units=REPETITIONS)
    assert "for fresh seeds or tunings. " in _prose_of_tasks(results, made)
    made = made._replace(by_task={name: made.by_task[name]})
    assert "for fresh tunings. " in _prose_of_tasks(results, made)


def _prose_of_tasks(results: Results, made: Boards) -> str:
    section = RANKED["answer"](results, made)
    assert section
    return str(section.subsections[0].prose[0])


def test_few_seeds_are_said_to_be_too_few(runs: pd.DataFrame) -> None:
    made = answer(runs[runs["seed"] < 8])
    assert "Not at all: 16 pairs of runs are too few for a verdict" in made.prose[1]
    (part,) = made.subsections
    assert texts_of(part.tables[0])[0][4] == "too few seeds: 8, not 17"
    assert "fewer than 8 pairs of runs" in answer(runs[runs["seed"] < 3]).prose[1]


def test_methods_that_could_be_the_best_are_named(with_a_twin: pd.DataFrame) -> None:
    """A twin of the first method cannot be told apart from it."""
    made = answer(with_a_twin)
    assert made.prose[0].startswith(
        "Over 2 tasks, no method is shown to be the best of 4. Of those that no other "
        "is shown to beat, “fast” has the most success: it reaches the target in 100 % "
        "of its runs (95 % confidence interval: "
    )
    assert made.prose[1].endswith(
        "Its place is 1 to 2 of 4: 2 are shown to be worse; of the rest, twin could as "
        "well be the best."
    )


def test_a_target_that_nobody_reaches_leaves_the_metric(runs: pd.DataFrame) -> None:
    frame = runs.assign(status="finished", stopped_at=40)
    made = answer(frame)
    assert made.prose == ["Over 2 tasks, no run of any method reached a target."]
    (part,) = made.subsections
    assert "no run reached the target: by distance" in texts_of(part.tables[0])[0][4]


def test_one_task_has_its_row_alone(runs: pd.DataFrame) -> None:
    made = answer(only(results_of(runs), task="bilinear"))
    assert made.prose == []
    assert len(made.subsections[0].tables[0].rows) == 1


def test_a_method_with_more_success_at_more_cost_says_so(runs: pd.DataFrame) -> None:
    """It stands first by its success; the best one is apart above it by its cost."""
    frame = runs.copy()
    missed = (frame["label"] == "fast") & (frame["seed"] == 0)
    frame.loc[missed, "status"] = "finished"
    (part,) = answer(frame).subsections
    row = texts_of(part.tables[0])[0]
    assert row[1] == "slow"
    assert row[4] == "place 2 of 3, as cheaper ones with less success are apart"
    which, sure, _ = answer(frame).prose
    assert which.startswith("Over 2 tasks and 3 methods, use “fast”: it reaches the ")
    assert "“slow” has more success, but a comparison of two methods counts" in sure
    assert np.isinf(frame["distance"]).sum() == 0


def test_the_first_that_no_other_is_shown_to_beat_is_named(
    with_a_twin: pd.DataFrame,
) -> None:
    """One with more success and twice the cost is beaten by two that could be best."""
    frame = with_a_twin.copy()
    missed = frame["label"].isin(["fast", "twin"]) & (frame["seed"] == 0)
    frame.loc[missed, "status"] = "finished"
    which, sure, _ = answer(frame).prose
    assert (
        "Of those that no other is shown to beat, “fast” has the most success" in which
    )
    assert sure.endswith(
        "of the rest, twin could as well be the best. “slow” has more success, but a "
        "comparison of two methods counts their costs as well."
    )


def test_nothing_is_advised_where_nothing_ranks(results: Results) -> None:
    assert section_of("answer", without_metrics(without_target(results))) is None


def test_a_cost_that_is_not_reached_is_none(runs: pd.DataFrame) -> None:
    """Less than half of the runs succeed on either task."""
    frame = runs.copy()
    frame.loc[frame["seed"] > 5, "status"] = "finished"
    cost = answer(frame).prose[2]
    assert cost.startswith("At which cost? On no task do more than half of its runs")
    assert cost.endswith("On 2 tasks no method gets more than half of its runs there.")

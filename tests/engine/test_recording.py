"""Recordings: when a run counts as converged, and what ends it."""

import numpy as np
import pytest
from recordings import bilinear_cell, recording_of
from scripted_runs import trajectory_of

from mmbench.core.columns import COUNTED
from mmbench.core.status import Status
from mmbench.engine.recording import Recording, Records
from mmbench.tasks import TASKS


@pytest.mark.parametrize("steps", [200, 400])
def test_convergence_is_dated_by_its_streak(steps: int) -> None:
    """`converged`: the target held to the end; the first such record is the date."""
    trajectory = trajectory_of(
        "bilinear", "cgd[step_size=1,tolerance=1e-12]", steps=steps, records=50
    )
    assert set(trajectory.status) == {Status.CONVERGED}
    for run, at in enumerate(trajectory.stopped_at):
        distance = trajectory.columns["distance"][:, run]
        first = trajectory.steps.index(at)
        assert (distance[first:] <= 1e-3).all()
        assert distance[first - 1] > 1e-3


@pytest.mark.parametrize(("steps", "status"), [(20, "finished"), (30, "converged")])
def test_three_records_make_a_streak(steps: int, status: str) -> None:
    """Two records within the target do not count as converged, three do."""
    # The proximal step of size 1 halves the square: 1e-3 is passed at step 20.
    trajectory = trajectory_of(
        "bilinear[start_at=(1,0)]",
        "cgd[step_size=1,tolerance=1e-14]",
        seeds=1,
        steps=steps,
        records=steps // 5,
    )
    assert trajectory.columns["distance"][-1] <= 1e-3
    assert trajectory.status == [status]
    expected = {"finished": 20, "converged": 20}[status]
    assert trajectory.stopped_at.tolist() == [expected]


def test_a_target_passed_through_is_not_reached() -> None:
    """A run that leaves the target again has finished, whatever it was between."""
    # GDA starts within the target and spirals out of it.
    trajectory = trajectory_of(
        "bilinear[start_at=(0.0001,0)]", "gda[step_size=0.5]", seeds=1, steps=100
    )
    held = trajectory.columns["distance"][:, 0] <= 1e-3
    assert held[:3].all()
    assert not held[-1]
    assert trajectory.status == [Status.FINISHED]


def test_a_stopped_run_may_have_converged() -> None:
    """Random search stops by itself near the minimax line."""
    trajectory = trajectory_of(
        "bilinear[box=5]",
        "accept_reject_search[step_size=1]",
        seeds=8,
        steps=100,
        records=50,
    )
    assert set(trajectory.status) <= {Status.CONVERGED, Status.STOPPED}
    assert Status.CONVERGED in trajectory.status
    near = trajectory.columns["distance"][-1] <= box_bound()
    assert [one == Status.CONVERGED for one in trajectory.status] == near.tolist()


def box_bound() -> float:
    """The distance at which the box counts as solved."""
    target = TASKS.build("bilinear[box=5]").target
    assert target is not None
    return target.at_most[0][1]


NEAR, FAR = 1e-4, 1.0


@pytest.mark.parametrize(
    ("distances", "status", "at"),
    [
        ([FAR, FAR, NEAR, NEAR, NEAR], "converged", 20),
        ([FAR, NEAR, NEAR, NEAR, NEAR], "converged", 10),
        ([NEAR] * 5, "converged", 0),
        ([FAR, FAR, FAR, NEAR, NEAR], "finished", 40),
        ([NEAR, NEAR, NEAR, NEAR, FAR], "finished", 40),
        ([NEAR, NEAR, FAR, NEAR, NEAR], "finished", 40),
        ([NEAR, FAR, NEAR, NEAR, NEAR], "converged", 20),
        ([FAR, 1e-3, 1e-3, 1e-3, 1e-3], "converged", 10),
        ([FAR, NEAR, NEAR, np.nan, NEAR], "finished", 40),
    ],
)
def test_streaks(distances: list[float], status: str, at: int) -> None:
    """The target must hold at the last three records; its first is the date."""
    recording = recording_of(bilinear_cell(1), [[one] for one in distances])
    recording.conclude()
    assert recording.status == [status]
    assert recording.stopped_at.tolist() == [at]


def test_the_dead_do_not_converge() -> None:
    """A run that broke down within the target stays broken down; a stopped one may."""
    recording = recording_of(bilinear_cell(3), [[NEAR] * 3] * 5)
    recording.mark([0], Status.DIVERGED, 7)
    recording.mark([1], Status.STOPPED, 8)
    recording.conclude()
    assert recording.status == ["diverged", "converged", "converged"]
    assert recording.stopped_at.tolist() == [7, 0, 0]


def test_padding_is_not_marked() -> None:
    """Rows beyond the runs are the padding's."""
    recording = recording_of(bilinear_cell(2), [[FAR, FAR]])
    recording.mark([1, 2, 127], Status.NONFINITE, 3)
    assert recording.status == ["finished", "nonfinite"]


def test_failure_spares_the_dead() -> None:
    """An exception ends living runs at the last record, and is the reason."""
    recording = recording_of(bilinear_cell(3), [[FAR] * 3] * 3)
    recording.mark([0], Status.DIVERGED, 7)
    recording.fail(ValueError("why"))
    assert recording.status == ["diverged", "error", "error"]
    assert recording.stopped_at.tolist() == [7, 20, 20]
    assert recording.reason == "ValueError: why"


def recording_of_blocks() -> Recording:
    """A record, three at once of which all runs are charged the same, and one more."""
    recording = Recording(bilinear_cell(2), (0, 1))
    at_once = Records(
        3,
        {name: np.array([[2], [4], [6]]) for name in COUNTED},
        {"distance": np.array([[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])},
    )
    each = {name: np.array([7, 9]) for name in COUNTED}
    recording.add(0, 0.0, {name: np.array([0]) for name in COUNTED}, {"distance": NONE})
    recording.add_records([10, 20, 30], [1.0, 2.0, 3.0], at_once)
    recording.add(40, 4.0, each, {"distance": np.array([8.0, 9.0])})
    return recording


NONE = np.zeros(2)


def test_records_that_were_added_at_once_are_read_one_by_one() -> None:
    """Every record has a number for each run, however it was added."""
    recording = recording_of_blocks()
    counts = [row["grad_x"].tolist() for row in recording.counts]
    assert counts == [[0, 0], [2, 2], [4, 4], [6, 6], [7, 9]]
    distances = [row["distance"].tolist() for row in recording.columns]
    assert distances == [[0, 0], [2, 3], [4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize("first", range(6))
def test_news_begin_at_any_record(first: int) -> None:
    """News and the records before them are the recording, within a block too."""
    whole = recording_of_blocks()
    news = whole.news(first)
    assert len(news["steps"]) == len(news["columns"]) == 5 - first
    joined = Recording.from_news(whole.cell, news, whole)
    assert joined.steps == whole.steps
    assert joined.seconds == whole.seconds
    for name in ("counts", "columns"):
        pairs = zip(getattr(joined, name), getattr(whole, name), strict=True)
        for one, other in pairs:
            assert {key: row.tolist() for key, row in one.items()} == {
                key: row.tolist() for key, row in other.items()
            }


def test_what_is_sent_later_stays_as_it_was() -> None:
    """Records and endings that follow are no part of it."""
    whole = recording_of_blocks()
    late, before = whole.since(1), whole.since(1).snapshot()
    whole.add(50, 5.0, whole.counts[-1], {"distance": NONE})
    whole.mark([0], Status.DIVERGED, 45)
    whole.close()
    after = late.snapshot()
    for name in ("steps", "status", "ended"):
        assert after[name] == before[name] != whole.snapshot()[name]
    np.testing.assert_array_equal(after["stopped_at"], before["stopped_at"])


def test_a_block_of_records_is_searched_from_its_end() -> None:
    """A streak may begin within records that were added at once."""
    recording = Recording(bilinear_cell(2), (0, 1))
    distance = np.array([[FAR, NEAR], [NEAR, FAR], [NEAR, NEAR], [NEAR, NEAR]])
    counts = {name: np.arange(4)[:, None] for name in COUNTED}
    records = Records(4, counts, {"distance": distance})
    recording.add_records([0, 10, 20, 30], [0.0, 1.0, 2.0, 3.0], records)
    recording.conclude()
    assert recording.status == ["converged", "finished"]
    assert recording.stopped_at.tolist() == [10, 40]

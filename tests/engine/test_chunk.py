"""Runs computed side by side: how they end, what is frozen, what is recorded."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scripted_runs import SMALL, Clock, Scripted, make_cell, trajectory_of

from mmbench.core.capability import Capability
from mmbench.core.code_guard import CodeGuard
from mmbench.core.columns import COUNTED
from mmbench.core.game import Game
from mmbench.core.status import Status
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.tools import (
    PLACEMENT,
    FarStart,
    IterateEntries,
    require_equal_runs,
)

# ---- endings ----


@pytest.fixture(autouse=True)
def _unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let methods of these tests note what they see in globals."""
    monkeypatch.setattr(CodeGuard, "__init__", lambda self, *_: None)
    monkeypatch.setattr(CodeGuard, "check", lambda self: None)


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("nan", Status.NONFINITE),
        ("inf", Status.NONFINITE),
        ("far", Status.DIVERGED),
        ("stop", Status.STOPPED),
    ],
)
def test_an_ended_run_is_frozen(what: str, status: Status) -> None:
    """A run that ends keeps its iterate and its counts, and the others go on."""
    trajectory = trajectory_of("bilinear", Scripted(what=what), steps=12)
    assert trajectory.status == [Status.FINISHED, status, Status.FINISHED]
    assert trajectory.stopped_at.tolist() == [12, 5, 12]
    assert trajectory.reason == ""
    z = trajectory.columns["entry_0"]
    moved = np.diff(z, axis=0)
    np.testing.assert_allclose(moved[:, [0, 2]], 1, rtol=1e-12)
    # The step that breaks a run is not taken, but it is paid for; one that stops a run
    # is taken.
    taken = 5 if what == "stop" else 4
    np.testing.assert_allclose(moved[:taken, 1], 1, rtol=1e-12)
    assert (moved[taken:, 1] == 0).all()
    assert trajectory.counts["grad_x"][-1].tolist() == [12, 5, 12]
    assert (trajectory.counts["grad_x"][5:, 1] == 5).all()
    assert np.isfinite(z).all()


@pytest.mark.parametrize("watched", [False, True])
def test_the_limit_itself_is_allowed(watched: bool) -> None:
    """An entry at the limit is within it; only the next step passes it.

    Whether the engine looks at runs one by one (it does where a method may stop) or at
    all of them together.
    """
    trajectory = trajectory_of(
        "bilinear", Scripted(what="edge", watched=watched), steps=12
    )
    assert trajectory.status[1] == Status.DIVERGED
    assert trajectory.stopped_at[1] == 6
    assert trajectory.columns["entry_0"][-1, 1] == 1e6


def test_all_runs_may_end() -> None:
    """When all runs have ended the records repeat to the last step."""
    trajectory = trajectory_of(
        "bilinear", Scripted(what="far", run=0), seeds=1, steps=50, records=5
    )
    assert trajectory.steps[-1] == 50
    assert trajectory.stopped_at.tolist() == [5]
    assert trajectory.counts["grad_x"][-1].tolist() == [5]


@dataclass(frozen=True, kw_only=True)
class RecordingStates(Scripted):
    """An algorithm that keeps the states that it is given."""

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """Keep what is given, and take a step."""
        SEEN.append(state.time[:3].tolist())
        return super().step(oracle, z, state)


SEEN: list[list[int]] = []


@pytest.mark.parametrize(("what", "frozen"), [("nan", 4), ("far", 4), ("stop", 5)])
def test_the_state_of_an_ended_run_is_frozen(what: str, frozen: int) -> None:
    """The state of an ended run does not change, and the others' does."""
    SEEN.clear()
    trajectory_of("bilinear", RecordingStates(what=what), steps=12)
    assert SEEN[-1] == [11, frozen, 11]


class CountingGame(Game):
    """A game that counts the steps of each run, and gives the count as minibatch."""

    dim_x = dim_y = batch_size = sample_size = 1
    dtype = torch.float64

    def draw(self, generator: torch.Generator, count: int) -> torch.Tensor:
        """Draw minibatches of the right size."""
        return torch.zeros(count, 1)

    def memory(self, z: torch.Tensor) -> tuple:
        """Return counts of zero."""
        return (torch.zeros(len(z), dtype=torch.int64),)

    def advance(self, z: torch.Tensor, memory: tuple, sample: torch.Tensor) -> tuple:
        """Count one step."""
        return (memory[0] + 1,)

    def recall(self, sample: torch.Tensor, memory: tuple) -> torch.Tensor:
        """Return the counts as minibatches."""
        return memory[0].to(self.dtype)

    def losses(self, x: Any, y: Any, sample: Any, *, train: bool = True) -> Any:
        """Return losses whose gradient for x is the count."""
        loss = x[:, 0] * sample + 0 * y[:, 0]
        return loss, -loss


@dataclass(frozen=True, kw_only=True)
class CountingTask(Task):
    """A task whose game counts."""

    gives = frozenset({Capability.ZERO_SUM})
    metrics = ("field_norm",)

    def build(self, place: Any) -> Game:
        """Return the game."""
        return CountingGame()

    def start(self, game: Game, generator: torch.Generator) -> torch.Tensor:
        """Return the origin."""
        return torch.zeros(2, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class RecordingGradients(Scripted):
    """An algorithm that keeps the gradients that it is given."""

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """Keep what is given, and take a step."""
        SEEN.append(oracle.grad_x(z)[:3, 0].tolist())
        oracle.resample()  # a second minibatch of a step has the same memory
        assert oracle.grad_x(z)[:3, 0].tolist() == SEEN[-1]
        return super().step(oracle, z, state)


@pytest.mark.parametrize(
    ("what", "frozen"), [("nothing", 11), ("nan", 4), ("far", 4), ("stop", 5)]
)
def test_what_a_game_remembers_goes_on_with_the_run(what: str, frozen: int) -> None:
    """The memory of a game advances once a step, and is frozen with its run."""
    SEEN.clear()
    trajectory = trajectory_of(CountingTask(), RecordingGradients(what=what), steps=12)
    assert trajectory.reason == ""
    assert SEEN[3] == [3, 3, 3]
    assert SEEN[-1] == [11, frozen, 11]
    # What is measured begins to remember anew, so that it depends on z alone.
    measured = trajectory_of(
        CountingTask(), RecordingGradients(), metrics=(METRICS.build("field_norm"),)
    )
    assert not measured.columns["field_norm"].any()


def test_divergence_of_gda_is_dated() -> None:
    """GDA at step size 1 grows by √2 a step: the step that passes 1e6 is known."""
    trajectory = trajectory_of(
        "bilinear[start_at=(1,0)]", "gda[step_size=1]", seeds=1, steps=60
    )
    assert trajectory.status == [Status.DIVERGED]
    # |z_t| = 2^(t/2), and an entry passes 1e6 first when t = 40: z turns by 45° a step
    # and lies on an axis at even t, on a diagonal at odd ones.
    assert trajectory.stopped_at.tolist() == [40]
    assert trajectory.columns["distance"].max() == pytest.approx(2 ** (39 / 2))


# ---- other runs of the batch ----


def test_a_late_divergence_changes_no_other_run() -> None:
    """A run that diverges in the middle changes no bit of the others."""
    plain = TASKS.build("bilinear")
    # Far enough out to pass the limit after a while of GDA's growth by 1.005 a step.
    late = FarStart(task=plain, seed=1, factor=2e5)
    calm, shaken = (
        trajectory_of(task, "gda", seeds=4, steps=400) for task in (plain, late)
    )
    assert shaken.status[1] == Status.DIVERGED
    assert 5 < shaken.stopped_at[1] < 395
    require_equal_runs(calm, shaken, (0, 2, 3), "neighbours must not notice")
    spent = shaken.counts["grad_x"][:, 1]
    assert spent[-1] == shaken.stopped_at[1]


# ---- records ----


def test_records_cost_nothing() -> None:
    """Iterates and counts are the same with many metrics and with none."""
    few = trajectory_of(SMALL, "omd", steps=6, records=1)
    many = trajectory_of(
        SMALL,
        "omd",
        steps=6,
        records=6,
        metrics=(
            IterateEntries(),
            METRICS.build("field_norm"),
            METRICS.build("sliced_wasserstein[samples=50]"),
        ),
    )
    for name in ("entry_0", "entry_3", "norm"):
        np.testing.assert_array_equal(few.columns[name][-1], many.columns[name][-1])
    for name in COUNTED:
        np.testing.assert_array_equal(few.counts[name][-1], many.counts[name][-1])


def test_paths_and_sheets() -> None:
    """Planar games keep paths of the first runs, GANs sheets."""
    toy = trajectory_of("bilinear", "gda", seeds=12, steps=1200, records=2)
    assert toy.arrays["path"].shape == (8, len(toy.arrays["path_steps"]), 2)
    assert len(toy.arrays["path_steps"]) <= 502
    assert toy.arrays["path_steps"][0] == 0
    assert "sheet" not in toy.arrays
    net = trajectory_of(SMALL, "gda", seeds=10, steps=2)
    assert net.arrays["sheet"].shape == (8, 512, 2)
    assert "path" not in net.arrays


def test_path_is_the_trajectory() -> None:
    """The path's points are the iterates at its steps."""
    toy = trajectory_of(
        "quadratic", "gda[step_size=0.01]", seeds=2, steps=30, records=30
    )
    np.testing.assert_allclose(
        toy.arrays["path"][:, :, 0].T, toy.columns["entry_0"], rtol=1e-6
    )


def test_clock_never_runs_backwards() -> None:
    """Seconds grow along the records, the same for all runs of a chunk."""
    seconds = trajectory_of(SMALL, "gda", steps=5).seconds
    assert (np.diff(seconds, axis=0) >= 0).all()
    assert (seconds == seconds[:, :1]).all()
    assert seconds[-1, 0] > 0


def test_a_start_outside_is_brought_inside() -> None:
    """A first point outside the box is projected before it is recorded."""
    trajectory = trajectory_of(
        "bilinear[box=5,start_at=(9,-9)]", "gda", seeds=1, steps=2
    )
    assert trajectory.columns["entry_0"][0, 0] == 5
    assert trajectory.columns["entry_3"][0, 0] == -5


def test_progress_is_reported_between_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is reported between records, and each step is counted once."""
    monkeypatch.setattr("mmbench.engine.progress.REPORT_SECONDS", 0.0)
    reports: list[tuple[int, int]] = []

    def progress(run_steps: int, recording: Recording | None) -> None:
        reports.append((run_steps, len(recording.steps) if recording else -1))

    one = make_cell("bilinear", "gda", 2, steps=50, records=1)
    run_cell(one, PLACEMENT, progress=progress)
    assert reports[0] == (0, -1)
    assert sum(run_steps for run_steps, _ in reports) == 2 * 50
    assert sum(run_steps == 2 for run_steps, _ in reports) == 50

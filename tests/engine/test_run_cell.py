"""The loop: records, endings, frozen runs, chunks and errors."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.game import Game
from mmbench.core.oracle_state import COUNTED
from mmbench.core.source import Source
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics import METRICS
from mmbench.metrics.base import Column, IterateMetric
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.algorithms import GAMES
from mmbench.testing.tools import PLACEMENT, Doomed, Entries, must_agree

SMALL = "four_gaussians[hidden=6,noise=3,batch=8]"


def cell_of(task: Any, algorithm: Any, seeds: int | tuple = 3, **options: Any) -> Cell:
    """A cell from words or descriptions, iterates measured."""
    task = TASKS.coerce(task)
    seeds = tuple(range(seeds)) if isinstance(seeds, int) else seeds
    options = {"steps": 20, "records": 20, "dtype": "float64"} | options
    metrics = options.pop("metrics", (Entries(),))
    return Cell(
        task=task,
        algorithm=ALGORITHMS.coerce(algorithm),
        seeds=seeds,
        metrics=metrics_for(task, list(metrics)),
        **options,
    )


def ran(*of: Any, **options: Any) -> Trajectory:
    """The trajectory of such a cell."""
    return run_cell(cell_of(*of, **options), PLACEMENT)


class Clock(NamedTuple):
    """Steps of each run."""

    time: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Scripted(Algorithm):
    """Moves every run by 1 a step, until something happens to one run at one step.

    Args:
        what: happens.
        at: the step, from 0.
        run: the row it happens to.
        watched: whether the method says each time that it has not stopped.
    """

    what: str = "nothing"
    at: int = 4
    run: int = 1
    watched: bool = False

    source = Source(authors="Nobody", year=2026, title="A script")

    @property
    def cost(self) -> Cost:
        """What one step uses."""
        return Cost(grad_x=1)

    def init(self, oracle: Any, z: torch.Tensor) -> Clock:
        """At the beginning."""
        return Clock(torch.zeros(len(z), dtype=torch.int64))

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """One step."""
        oracle.grad_x(z)
        now = bool((state.time.max() == self.at).item())
        moved = z + 1
        if now and self.what == "raise":
            raise RuntimeError("something of mine")
        values = {"nan": torch.nan, "inf": torch.inf, "far": 1e7, "edge": 1e6}
        if now and self.what in values:
            moved[self.run, 0] = values[self.what]
        return moved, Clock(state.time + 1)

    def done(self, state: Clock) -> torch.Tensor | None:
        """Whether the run has stopped by itself."""
        if self.what != "stop" and not self.watched:
            return None
        rows = torch.arange(len(state.time)) == self.run
        rows = rows & torch.tensor(self.what == "stop")
        return rows & (state.time > self.at)


# ---- endings ----


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("nan", Status.NONFINITE),
        ("inf", Status.NONFINITE),
        ("far", Status.DIVERGED),
        ("stop", Status.STOPPED),
    ],
)
def test_an_ending_is_told_and_freezes_the_run(what: str, status: Status) -> None:
    """Status and step of one run; it neither moves nor pays any more; others go on."""
    trajectory = ran("bilinear", Scripted(what=what), steps=12)
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
    """An entry at the limit is sound; only the next step passes it.

    Whether the engine looks at runs one by one (it does where a method may stop) or at
    all of them together.
    """
    trajectory = ran("bilinear", Scripted(what="edge", watched=watched), steps=12)
    assert trajectory.status[1] == Status.DIVERGED
    assert trajectory.stopped_at[1] == 6
    assert trajectory.columns["entry_0"][-1, 1] == 1e6


def test_everybody_may_end() -> None:
    """When nobody is left the records repeat to the end."""
    trajectory = ran(
        "bilinear", Scripted(what="far", run=0), seeds=1, steps=50, records=5
    )
    assert trajectory.steps[-1] == 50
    assert trajectory.stopped_at.tolist() == [5]
    assert trajectory.counts["grad_x"][-1].tolist() == [5]


@dataclass(frozen=True, kw_only=True)
class Watched(Scripted):
    """Shows the state that it is given at each step."""

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """One step."""
        SEEN.append(state.time[:3].tolist())
        return super().step(oracle, z, state)


SEEN: list[list[int]] = []


@pytest.mark.parametrize(("what", "frozen"), [("nan", 4), ("far", 4), ("stop", 5)])
def test_the_state_of_an_ended_run_is_frozen(what: str, frozen: int) -> None:
    """Its state stands still as its iterate does; the others' goes on."""
    SEEN.clear()
    ran("bilinear", Watched(what=what), steps=12)
    assert SEEN[-1] == [11, frozen, 11]


class Elephant(Game):
    """Counts the steps of each run, and shows its minibatches the count."""

    dim_x = dim_y = batch_size = sample_size = 1
    dtype = torch.float64

    def draw(self, generator: torch.Generator, count: int) -> torch.Tensor:
        """Nothing but places for the count."""
        return torch.zeros(count, 1)

    def memory(self, z: torch.Tensor) -> tuple:
        """No step yet."""
        return (torch.zeros(len(z), dtype=torch.int64),)

    def advance(self, z: torch.Tensor, memory: tuple) -> tuple:
        """One step more."""
        return (memory[0] + 1,)

    def recall(self, sample: torch.Tensor, memory: tuple) -> torch.Tensor:
        """The count as the minibatch."""
        return memory[0].to(self.dtype)

    def losses(self, x: Any, y: Any, sample: Any, *, train: bool = True) -> Any:
        """x's gradient is the count."""
        loss = x[:, 0] * sample + 0 * y[:, 0]
        return loss, -loss


@dataclass(frozen=True, kw_only=True)
class Remembering(Task):
    """The game that counts."""

    gives = frozenset({Capability.ZERO_SUM})
    metrics = ("field_norm",)

    def build(self, place: Any) -> Game:
        """The game."""
        return Elephant()

    def start(self, game: Game, generator: torch.Generator) -> torch.Tensor:
        """At the origin."""
        return torch.zeros(2, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class Told(Scripted):
    """Notes what gradient it gets at each step."""

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """One step."""
        SEEN.append(oracle.grad_x(z)[:3, 0].tolist())
        oracle.resample()  # a second minibatch of a step has the same memory
        assert oracle.grad_x(z)[:3, 0].tolist() == SEEN[-1]
        return super().step(oracle, z, state)


@pytest.mark.parametrize(
    ("what", "frozen"), [("nothing", 11), ("nan", 4), ("far", 4), ("stop", 5)]
)
def test_what_a_game_remembers_goes_on_with_the_run(what: str, frozen: int) -> None:
    """Once a step, however many minibatches it draws; frozen as the iterate is."""
    SEEN.clear()
    trajectory = ran(Remembering(), Told(what=what), steps=12)
    assert trajectory.reason == ""
    assert SEEN[3] == [3, 3, 3]
    assert SEEN[-1] == [11, frozen, 11]
    # What is measured begins to remember anew, so that it depends on z alone.
    measured = ran(Remembering(), Told(), metrics=(METRICS.build("field_norm"),))
    assert not measured.columns["field_norm"].any()


def test_divergence_of_gda_is_dated() -> None:
    """GDA at step size 1 grows by √2 a step: the step that passes 1e6 is known."""
    trajectory = ran("bilinear[start_at=(1,0)]", "gda[step_size=1]", seeds=1, steps=60)
    assert trajectory.status == [Status.DIVERGED]
    # |z_t| = 2^(t/2), and an entry passes 1e6 first when t = 40: z turns by 45° a step
    # and lies on an axis at even t, on a diagonal at odd ones.
    assert trajectory.stopped_at.tolist() == [40]
    assert trajectory.columns["distance"].max() == pytest.approx(2 ** (39 / 2))


@pytest.mark.parametrize("steps", [200, 1000])
def test_convergence_is_dated_by_its_streak(steps: int) -> None:
    """`converged`: the target held to the end; the first such record is the date."""
    trajectory = ran(
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
    trajectory = ran(
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
    trajectory = ran(
        "bilinear[start_at=(0.0001,0)]", "gda[step_size=0.5]", seeds=1, steps=100
    )
    held = trajectory.columns["distance"][:, 0] <= 1e-3
    assert held[:3].all()
    assert not held[-1]
    assert trajectory.status == [Status.FINISHED]


def test_a_stopped_run_may_have_converged() -> None:
    """Random search stops by itself near the minimax line."""
    trajectory = ran(
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


# ---- errors ----


def test_an_exception_ends_the_cell_and_is_told() -> None:
    """What was recorded before is kept; rows say error, and why."""
    trajectory = ran("bilinear", Scripted(what="raise"), steps=20, records=10)
    assert trajectory.status == [Status.ERROR] * 3
    assert trajectory.reason == "RuntimeError: something of mine"
    assert trajectory.steps == (0, 1, 2, 4)
    assert trajectory.stopped_at.tolist() == [4, 4, 4]
    assert np.isfinite(trajectory.columns["entry_0"]).all()


def test_an_exception_before_the_first_record() -> None:
    """A cell that cannot even begin has one record without values."""
    trajectory = ran("bilinear", Breaking(), steps=20)
    assert trajectory.status == [Status.ERROR] * 3
    assert trajectory.steps == (0,)
    assert np.isnan(trajectory.columns["entry_0"]).all()
    assert all((trajectory.counts[name] == 0).all() for name in COUNTED)


@dataclass(frozen=True, kw_only=True)
class Breaking(Algorithm):
    """Cannot begin."""

    source = Source(authors="Nobody", year=2026, title="A script")
    cost = Scripted.cost
    step = Scripted.step

    def init(self, oracle: Any, z: torch.Tensor) -> Any:
        """Nothing."""
        raise ValueError("not today")


@dataclass(frozen=True, kw_only=True)
class Fussy(IterateMetric):
    """Raises where seed 16 is among the runs.

    Args:
        seed: that it cannot stand.
    """

    seed: int = 16

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (Column("fussy", "fussy"),)

    def measure(self, at: Any) -> Any:
        """One number a run."""
        if self.seed in at.seeds:
            raise ValueError("not this one")
        return {"fussy": at.z[:, 0]}


def test_an_error_in_one_chunk_leaves_the_others() -> None:
    """Seeds computed elsewhere keep their results; the failed ones hold NaN."""
    trajectory = ran(
        SMALL,
        "gda",
        seeds=18,
        steps=4,
        metrics=(Entries(), Fussy(), METRICS.build("mode_coverage[samples=20]")),
    )
    assert trajectory.status == [Status.FINISHED] * 16 + [Status.ERROR] * 2
    assert trajectory.reason == "ValueError: not this one"
    assert trajectory.steps[-1] == 4
    fussy = trajectory.columns["fussy"]
    assert np.isfinite(fussy[:, :16]).all()
    assert np.isnan(fussy[:, 16:]).all()


def test_interruption_is_not_swallowed() -> None:
    """Ctrl-C ends the program, not the cell."""

    @dataclass(frozen=True, kw_only=True)
    class Interrupted(Scripted):
        """Somebody presses a key."""

        def step(self, oracle: Any, z: torch.Tensor, state: Any) -> Any:
            """One step."""
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran("bilinear", Interrupted())


# ---- company ----


@pytest.mark.parametrize("game", GAMES)
def test_a_seed_alone_is_the_seed_in_a_batch(game: str) -> None:
    """Several chunks, another order, another place: the same bits."""
    seeds = tuple(range(20))
    together = ran(game, "gda[direction=adam]", seeds=seeds, steps=6)
    for chosen in ((19,), (7, 3), (16, 0, 5)):
        some = ran(game, "gda[direction=adam]", seeds=chosen, steps=6)
        must_agree(together, some, chosen, f"seeds {chosen} must be the same")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_company_in_single_precision(name: str) -> None:
    """The default precision keeps the promise too, where rounding would show first."""
    words = f"{name}[ascents=5]" if name == "accept_reject_search" else name
    game = "four_gaussians[hidden=16,noise=4,batch=16]"
    options = {"steps": 5, "records": 5, "dtype": "float32"}
    together = ran(game, words, seeds=5, **options)
    assert together.reason == ""
    for chosen in ((3,), (4, 9, 1)):
        some = ran(game, words, seeds=chosen, **options)
        common = tuple(seed for seed in chosen if seed < 5)
        must_agree(together, some, common, f"seeds {common} must be the same")


def test_a_late_death_disturbs_nobody() -> None:
    """A neighbour that diverges in the middle changes no bit of the others."""
    plain = TASKS.build("bilinear")
    # Far enough out to pass the limit after a while of GDA's growth by 1.005 a step.
    late = Doomed(task=plain, seed=1, factor=2e5)
    calm, shaken = (ran(task, "gda", seeds=4, steps=400) for task in (plain, late))
    assert shaken.status[1] == Status.DIVERGED
    assert 5 < shaken.stopped_at[1] < 395
    must_agree(calm, shaken, (0, 2, 3), "neighbours must not notice")
    spent = shaken.counts["grad_x"][:, 1]
    assert spent[-1] == shaken.stopped_at[1]


def test_padding_leaves_no_trace() -> None:
    """Padded runs are in no result."""
    trajectory = ran(SMALL, "gda", seeds=3, steps=3)
    assert trajectory.width == 16
    assert trajectory.columns["norm"].shape == (4, 3)
    assert len(trajectory.status) == len(trajectory.stopped_at) == 3
    assert trajectory.arrays["sheet"].shape[0] == 3


# ---- records ----


def test_records_cost_nothing() -> None:
    """Many metrics or none: the same iterates and the same bill."""
    few = ran(SMALL, "omd", steps=6, records=1)
    many = ran(
        SMALL,
        "omd",
        steps=6,
        records=6,
        metrics=(
            Entries(),
            METRICS.build("field_norm"),
            METRICS.build("sliced_wasserstein[samples=50]"),
        ),
    )
    for name in ("entry_0", "entry_3", "norm"):
        np.testing.assert_array_equal(few.columns[name][-1], many.columns[name][-1])
    for name in COUNTED:
        np.testing.assert_array_equal(few.counts[name][-1], many.counts[name][-1])


def test_same_seeds_are_paired_across_algorithms() -> None:
    """All algorithms start a seed at one point and see the same minibatches first."""
    starts = [
        ran(SMALL, words, steps=1).columns["norm"][0] for words in ("gda", "omd", "cgd")
    ]
    assert all((start == starts[0]).all() for start in starts)
    gda, omd = (ran(SMALL, words, steps=1) for words in ("gda", "omd"))
    np.testing.assert_array_equal(gda.columns["norm"], omd.columns["norm"])


def test_paths_and_sheets() -> None:
    """Planar games keep paths of the first runs, GANs sheets."""
    toy = ran("bilinear", "gda", seeds=12, steps=1200, records=2)
    assert toy.arrays["path"].shape == (8, len(toy.arrays["path_steps"]), 2)
    assert len(toy.arrays["path_steps"]) <= 502
    assert toy.arrays["path_steps"][0] == 0
    assert "sheet" not in toy.arrays
    net = ran(SMALL, "gda", seeds=10, steps=2)
    assert net.arrays["sheet"].shape == (8, 512, 2)
    assert "path" not in net.arrays


def test_path_is_the_trajectory() -> None:
    """The path's points are the iterates at its steps."""
    toy = ran("quadratic", "gda[step_size=0.01]", seeds=2, steps=30, records=30)
    np.testing.assert_allclose(
        toy.arrays["path"][:, :, 0].T, toy.columns["entry_0"], rtol=1e-6
    )


@pytest.mark.parametrize("keep", ["none", "last", "all"])
def test_kept_iterates(keep: Any) -> None:
    """Of all chunks and no padding; each is the iterate that was measured."""
    trajectory = ran(SMALL, "gda", seeds=18, steps=7, records=2, keep=keep)
    if keep == "none":
        assert trajectory.iterates == {}
        return
    steps = {"last": [7], "all": list(trajectory.steps)}[keep]
    assert trajectory.iterates["steps"].tolist() == steps
    z = trajectory.iterates["z"]
    assert z.shape[:2] == (len(steps), 18)
    norms = trajectory.columns["norm"][-len(steps) :]
    np.testing.assert_allclose(np.linalg.norm(z, axis=2), norms, rtol=1e-12)


def test_a_failed_chunk_keeps_nothing() -> None:
    """Where one chunk has no end, nobody can go on from the cell."""
    trajectory = ran(
        SMALL,
        "gda",
        seeds=18,
        steps=2,
        keep="last",
        metrics=(Fussy(), METRICS.build("mode_coverage[samples=20]")),
    )
    assert trajectory.iterates == {}


def test_given_starts_are_those_of_the_runs() -> None:
    """Every run begins at its own row, across chunks; the padding follows the last."""
    cell = cell_of(SMALL, "gda", seeds=18, steps=1, keep="all")
    dim = cell.task.build(PLACEMENT).dim
    given = torch.arange(18.0)[:, None].expand(-1, dim) / 100
    trajectory = run_cell(cell, PLACEMENT, starts=lambda: given)
    assert trajectory.reason == ""
    np.testing.assert_allclose(trajectory.iterates["z"][0], given.numpy(), rtol=1e-7)
    alone = cell_of(SMALL, "gda", seeds=(17,), steps=1, keep="all")
    last = run_cell(alone, PLACEMENT, starts=lambda: given[17:])
    np.testing.assert_array_equal(
        last.iterates["z"][1, 0], trajectory.iterates["z"][1, 17]
    )


def test_clock_never_runs_backwards() -> None:
    """Seconds grow along the records, the same for all runs of a chunk."""
    seconds = ran(SMALL, "gda", steps=5).seconds
    assert (np.diff(seconds, axis=0) >= 0).all()
    assert (seconds == seconds[:, :1]).all()
    assert seconds[-1, 0] > 0


def test_progress_adds_up() -> None:
    """What is reported adds up to runs times steps."""
    told: list[int] = []
    run_cell(
        cell_of(SMALL, "gda", seeds=18, steps=7, records=2),
        PLACEMENT,
        lambda run_steps, recording: told.append(run_steps),
    )
    assert sum(told) == 18 * 7


def test_threads_are_put_back() -> None:
    """The engine's one thread is its own affair."""
    torch.set_num_threads(2)
    try:
        ran("bilinear", "gda", steps=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_both_precisions() -> None:
    """A cell's dtype is the game's."""
    single = ran("bilinear", "gda", dtype="float32").columns["norm"]
    double = ran("bilinear", "gda").columns["norm"]
    assert (single != double).any()
    np.testing.assert_allclose(single, double, rtol=1e-5)


def test_a_start_outside_is_brought_inside() -> None:
    """A first point outside the box is projected before it is recorded."""
    trajectory = ran("bilinear[box=5,start_at=(9,-9)]", "gda", seeds=1, steps=2)
    assert trajectory.columns["entry_0"][0, 0] == 5
    assert trajectory.columns["entry_3"][0, 0] == -5


def test_progress_is_told_between_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell of few records and slow steps shows that it lives; no step is lost."""
    monkeypatch.setattr("mmbench.engine.chunk.GLANCE", 0.0)
    told: list[tuple[int, int]] = []

    def progress(run_steps: int, recording: Recording | None) -> None:
        told.append((run_steps, len(recording.steps) if recording else -1))

    one = cell_of("bilinear", "gda", 2, steps=50, records=1)
    run_cell(one, PLACEMENT, progress=progress)
    assert told[0] == (0, -1)
    assert sum(run_steps for run_steps, _ in told) == 2 * 50
    assert sum(run_steps == 2 for run_steps, _ in told) == 50

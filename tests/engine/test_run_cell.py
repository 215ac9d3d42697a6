"""A cell, run to its trajectory: batches, errors, kept iterates, checkpoints."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from ignoring_games import DIM_X, Ignoring
from images import fake_cifar10
from memory_slots import Killed, MemorySlot
from playable import playable
from scripted_runs import SMALL, Scripted, make_cell, trajectory_of
from spec_variants import ALGORITHM_VARIANTS, of_each_kind, slow

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.algorithms.gda import GDA
from mmbench.core.columns import COUNTED
from mmbench.core.cost import Cost
from mmbench.core.errors import CodeError
from mmbench.core.oracle import Oracle
from mmbench.core.placement import Placement
from mmbench.core.source import Source
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics import METRICS
from mmbench.metrics.base import Column, IterateMetric
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS
from mmbench.testing.algorithms import SMALL_TASKS
from mmbench.testing.tools import PLACEMENT, IterateEntries, require_equal_runs

IGNORED = [
    pytest.param(spec, losses, marks=[] if number % 4 == 0 else [pytest.mark.slow])
    for number, spec in enumerate(ALGORITHM_VARIANTS)
    for losses in (("y", "y"), ("none", "none"), ("y", "negative"))
    if ALGORITHMS.build(spec).needs <= Ignoring(loss_y=losses[1]).gives
]


@pytest.mark.parametrize(("spec", "losses"), IGNORED)
def test_a_loss_may_ignore_a_player(spec: str, losses: tuple[str, str]) -> None:
    """Every method goes on where a loss does not depend on its own player, or on any.

    x has no gradient in these games, so that it stays where it began.
    """
    loss_x, loss_y = losses
    algorithm, task = ALGORITHMS.build(spec), Ignoring(loss_x=loss_x, loss_y=loss_y)
    cell = Cell(
        task=task,
        algorithm=algorithm,
        seeds=(0, 1),
        steps=3,
        records=3,
        dtype="float64",
        metrics=(IterateEntries(count=task.build(PLACEMENT).dim),),
    )
    trajectory = run_cell(cell, PLACEMENT)
    assert trajectory.reason == ""
    assert not any(status.is_failure for status in trajectory.status)
    if spec.startswith("accept_reject_search"):  # it proposes random moves of x
        return
    for i in range(DIM_X):
        values = trajectory.columns[f"entry_{i}"]
        np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))


# ---- errors ----


def test_an_exception_ends_the_cell() -> None:
    """Earlier records are kept, and the rows hold the error and its reason."""
    trajectory = trajectory_of("bilinear", Scripted(what="raise"), steps=20, records=10)
    assert trajectory.status == [Status.ERROR] * 3
    assert trajectory.reason.startswith("RuntimeError in scripted_runs.py, line ")
    assert trajectory.reason.endswith(": something of mine")
    assert trajectory.steps == (0, 1, 2, 4)
    assert trajectory.stopped_at.tolist() == [4, 4, 4]
    assert np.isfinite(trajectory.columns["entry_0"]).all()


def test_an_exception_before_the_first_record() -> None:
    """A cell that cannot even begin has one record without values."""
    trajectory = trajectory_of("bilinear", Breaking(), steps=20)
    assert trajectory.status == [Status.ERROR] * 3
    assert trajectory.steps == (0,)
    assert np.isnan(trajectory.columns["entry_0"]).all()
    assert all((trajectory.counts[name] == 0).all() for name in COUNTED)


@dataclass(frozen=True, kw_only=True)
class Breaking(Algorithm):
    """An algorithm that raises before its first step."""

    source = Source(authors="Nobody", year=2026, title="A script")
    cost = Scripted.cost
    step = Scripted.step

    def init(self, oracle: Any, z: torch.Tensor) -> Any:
        """Raise an error."""
        raise ValueError("not today")


@dataclass(frozen=True, kw_only=True)
class RaisesOnSeed(IterateMetric):
    """A metric that raises if a seed is among the runs.

    Args:
        seed: the seed.
    """

    seed: int = 16

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the column."""
        return (Column("fussy", "fussy"),)

    def measure(self, at: Any) -> Any:
        """Return an entry of each run, or raise."""
        if self.seed in at.seeds:
            raise ValueError("not this one")
        return {"fussy": at.z[:, 0]}


def test_an_error_in_one_chunk_leaves_the_others() -> None:
    """Runs of other chunks keep their results; the failed runs hold NaN."""
    trajectory = trajectory_of(
        SMALL,
        "gda",
        seeds=18,
        steps=4,
        metrics=(
            IterateEntries(),
            RaisesOnSeed(),
            METRICS.build("mode_coverage[samples=20]"),
        ),
    )
    assert trajectory.status == [Status.FINISHED] * 16 + [Status.ERROR] * 2
    assert trajectory.reason.endswith(": not this one")
    assert trajectory.steps[-1] == 4
    fussy = trajectory.columns["fussy"]
    assert np.isfinite(fussy[:, :16]).all()
    assert np.isnan(fussy[:, 16:]).all()


def test_interruption_is_not_swallowed() -> None:
    """Ctrl-C ends the program, not the cell."""

    @dataclass(frozen=True, kw_only=True)
    class Interrupted(Scripted):
        """An algorithm that is interrupted."""

        def step(self, oracle: Any, z: torch.Tensor, state: Any) -> Any:
            """One step."""
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trajectory_of("bilinear", Interrupted())


# ---- other runs of the batch ----


@pytest.mark.parametrize("game", SMALL_TASKS)
def test_a_seed_alone_is_the_seed_in_a_batch(game: str) -> None:
    """A run has the same bits alone, in another chunk and in another order."""
    seeds = tuple(range(20))
    together = trajectory_of(game, "gda[direction=adam]", seeds=seeds, steps=6)
    for chosen in ((19,), (7, 3), (16, 0, 5)):
        some = trajectory_of(game, "gda[direction=adam]", seeds=chosen, steps=6)
        require_equal_runs(together, some, chosen, f"seeds {chosen} must be the same")


@pytest.mark.parametrize("name", of_each_kind(ALGORITHMS))
def test_other_runs_change_no_bit_in_single_precision(name: str) -> None:
    """A run has the same bits in any batch in the default precision too."""
    words = f"{name}[ascents=5]" if name == "accept_reject_search" else name
    game = playable(words, "four_gaussians[hidden=16,noise=4,batch=16]")
    options = {"steps": 5, "records": 5, "dtype": "float32"}
    together = trajectory_of(game, words, seeds=5, **options)
    assert together.reason == ""
    for chosen in ((3,), (4, 9, 1)):
        some = trajectory_of(game, words, seeds=chosen, **options)
        common = tuple(seed for seed in chosen if seed < 5)
        require_equal_runs(together, some, common, f"seeds {common} must be the same")


def test_a_width_that_fits_is_told_where_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All runs end out of memory, and the reason names a width that a user may take."""

    class Narrow(Chunk):
        def __init__(
            self, cell: Cell, place: Placement, width: int, *given: Any
        ) -> None:
            if width > 5:
                raise torch.OutOfMemoryError
            super().__init__(cell, place, width, *given)

    monkeypatch.setattr("mmbench.engine.run_cell.Chunk", Narrow)
    cell = make_cell(SMALL, "gda", seeds=20, steps=3)
    trajectory = run_cell(cell, PLACEMENT)
    assert set(trajectory.status) == {Status.MEMORY}
    assert trajectory.width == 16
    assert trajectory.reason == (
        f"The 16 runs of {cell.task} that are computed side by side must fit in the "
        "memory of cpu; they do not. A width of 4 fits: choose --width 4 or width=4."
    )
    trajectory = run_cell(cell, PLACEMENT._replace(width=4))
    assert set(trajectory.status) == {Status.FINISHED}
    assert trajectory.width == 4


def test_padding_leaves_no_trace() -> None:
    """Padded runs are in no result."""
    trajectory = trajectory_of(SMALL, "gda", seeds=3, steps=3)
    assert trajectory.width == 16
    assert trajectory.columns["norm"].shape == (4, 3)
    assert len(trajectory.status) == len(trajectory.stopped_at) == 3
    assert trajectory.arrays["sheet"].shape[0] == 3


# ---- records ----


def test_same_seeds_are_paired_across_algorithms() -> None:
    """All algorithms start a seed at one point and see the same minibatches first."""
    starts = [
        trajectory_of(SMALL, words, steps=1).columns["norm"][0]
        for words in ("gda", "omd", "cgd")
    ]
    assert all((start == starts[0]).all() for start in starts)
    gda, omd = (trajectory_of(SMALL, words, steps=1) for words in ("gda", "omd"))
    np.testing.assert_array_equal(gda.columns["norm"], omd.columns["norm"])


@pytest.mark.parametrize("keep", ["none", "last", "all"])
def test_kept_iterates(keep: Any) -> None:
    """Kept iterates are those that were measured, of all chunks, without padding."""
    trajectory = trajectory_of(SMALL, "gda", seeds=18, steps=7, records=2, keep=keep)
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
    """A cell with a failed chunk has no iterates to continue from."""
    trajectory = trajectory_of(
        SMALL,
        "gda",
        seeds=18,
        steps=2,
        keep="last",
        metrics=(RaisesOnSeed(), METRICS.build("mode_coverage[samples=20]")),
    )
    assert trajectory.iterates == {}


def test_given_starts_are_those_of_the_runs() -> None:
    """Every run begins at its own row, across chunks; the padding follows the last."""
    cell = make_cell(SMALL, "gda", seeds=18, steps=1, keep="all")
    dim = cell.task.build(PLACEMENT).dim
    given = torch.arange(18.0)[:, None].expand(-1, dim) / 100
    trajectory = run_cell(cell, PLACEMENT, starts=lambda: given)
    assert trajectory.reason == ""
    np.testing.assert_allclose(trajectory.iterates["z"][0], given.numpy(), rtol=1e-7)
    alone = make_cell(SMALL, "gda", seeds=(17,), steps=1, keep="all")
    last = run_cell(alone, PLACEMENT, starts=lambda: given[17:])
    np.testing.assert_array_equal(
        last.iterates["z"][1, 0], trajectory.iterates["z"][1, 17]
    )


def test_progress_adds_up() -> None:
    """What is reported adds up to runs times steps."""
    output: list[int] = []
    run_cell(
        make_cell(SMALL, "gda", seeds=18, steps=7, records=2),
        PLACEMENT,
        lambda run_steps, recording: output.append(run_steps),
    )
    assert sum(output) == 18 * 7


def test_threads_are_put_back() -> None:
    """The number of threads is restored after a cell."""
    torch.set_num_threads(2)
    try:
        trajectory_of("bilinear", "gda", steps=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@contextmanager
def flushing() -> Iterator[None]:
    """Replace numbers below the normal ones by zero, within a block."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no such setting")
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def float64() -> Iterator[None]:
    """Make new tensors in float64, within a block."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": float64,
    "flushing": flushing,
}


def settings() -> tuple[Any, ...]:
    """Return the settings of torch that change numbers."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        bool(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1),
    )


@dataclass(frozen=True, kw_only=True)
class Depending(Algorithm):
    """A method whose steps depend on every setting of torch."""

    source = None

    @property
    def cost(self) -> Cost:
        """Two player-gradients."""
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle: Oracle, z: Any, state: Any) -> tuple[Any, Any]:
        """Move along the field, by a size that torch's settings change."""
        square = torch.full((2, 2), 0.3000001, requires_grad=True)
        product = (square @ square).sum()
        (slope,) = torch.autograd.grad(product, square)
        tiny = (torch.full((), 1e-30) * torch.full((), 1e-10)).double() * 1e38
        exact = torch.tensor(0.1).double()
        size = 0.1 * (product.detach() + slope.mean()).double() + tiny + exact
        return z - size.to(z.dtype) * oracle.field(z), state


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_torch_change_no_number(name: str) -> None:
    """A session may have left settings that change gradients, dtypes or devices."""
    cell = make_cell(TASKS.build("quadratic"), Depending(), seeds=2, steps=4)
    expected, before = run_cell(cell), settings()
    with SETTINGS[name]():
        changed = settings()
        assert changed != before
        trajectory = run_cell(cell)
        assert settings() == changed
    assert settings() == before
    assert_same(trajectory, expected)
    assert set(trajectory.status) == {Status.FINISHED}


def test_both_precisions() -> None:
    """A cell's dtype is the game's."""
    single = trajectory_of("bilinear", "gda", dtype="float32").columns["norm"]
    double = trajectory_of("bilinear", "gda").columns["norm"]
    assert (single != double).any()
    np.testing.assert_allclose(single, double, rtol=1e-5)


# The metrics of these by default, with fewer samples.
FEW_SAMPLES = {
    "digits01": ("digit_coverage[samples=20]", "forgetting[of=digits]"),
    "four_gaussians": (
        *("mode_coverage[samples=20]", "sliced_wasserstein[samples=32]"),
        "forgetting[of=modes]",
    ),
}


def short_cell(task: str, algorithm: str, steps: int = 12, seeds: int = 3) -> Cell:
    """Return a short cell in float32."""
    built = TASKS.build(task)
    metrics = [
        METRICS.build(one) for one in FEW_SAMPLES.get(task.partition("[")[0], ())
    ]
    return Cell(
        task=built,
        algorithm=ALGORITHMS.build(algorithm),
        seeds=tuple(range(seeds)),
        steps=steps,
        records=5,
        metrics=tuple(metrics) or metrics_for(built, []),
        keep="all",
    )


def run_interrupted(one: Cell, killed_at: Sequence[int]) -> Trajectory:
    """Run a cell that is killed at the given writes, and continued each time."""
    slot = MemorySlot()
    for raises_at in killed_at:
        slot.written, slot.raises_at = 0, raises_at
        with pytest.raises(Killed):
            run_cell(one, slot=slot)
    slot.raises_at = -1
    return run_cell(one, slot=slot)


def assert_same(one: Trajectory, other: Trajectory) -> None:
    """Check that trajectories have equal bits, apart from wall-clock times."""
    assert not one.reason
    assert (one.steps, one.status) == (other.steps, other.status)
    np.testing.assert_array_equal(one.stopped_at, other.stopped_at)
    for name in COUNTED:
        np.testing.assert_array_equal(one.counts[name], other.counts[name])
    for found, expected in (
        (one.columns, other.columns),
        (one.arrays, other.arrays),
        (one.iterates, other.iterates),
    ):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


GAME = "four_gaussians[hidden=4,noise=2,batch=8]"


@pytest.mark.parametrize(
    "algorithm", [*of_each_kind(ALGORITHMS), *slow(ALGORITHM_VARIANTS)]
)
def test_an_interrupted_cell_goes_on_bit_for_bit(algorithm: str) -> None:
    """State, random streams and counts continue from a checkpoint."""
    if algorithm == "accept_reject_search":  # 500 ascents a step
        algorithm = "accept_reject_search[ascents=20]"
    one = short_cell(playable(algorithm, GAME), algorithm)
    assert_same(run_interrupted(one, [5, 4]), run_cell(one))


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        ("bilinear", "gda"),  # paths
        ("quadratic", "gda[step_size=(0.3,0.9)]"),  # runs die
        ("bilinear", "accept_reject_search[patience=2,ascents=3]"),  # runs stop
        ("digits01[hidden=8,batch=16]", "alternating_gda[k=3]"),  # dropout
    ],
)
@pytest.mark.parametrize(
    "killed_at",
    [
        pytest.param([1], marks=pytest.mark.slow),
        pytest.param([12], marks=pytest.mark.slow),
        [3, 3, 3],
    ],
)
def test_games_of_each_kind_go_on(
    task: str, algorithm: str, killed_at: list[int]
) -> None:
    """Paths, ended runs and dropout masks continue from a checkpoint at any step."""
    one = short_cell(task, algorithm)
    assert_same(run_interrupted(one, killed_at), run_cell(one))


def test_what_a_game_remembers_survives(tmp_path, monkeypatch) -> None:
    """Singular vectors of a discriminator continue from a checkpoint."""
    fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    one = Cell(
        task=TASKS.build("cifar10[channels=1,noise=4,batch=4,spectral=true]"),
        algorithm=ALGORITHMS.build("gda"),
        seeds=(0, 1),
        steps=6,
        records=2,
        keep="all",
    )
    assert_same(run_interrupted(one, [3, 2]), run_cell(one))


def test_finished_chunks_are_not_computed_again(monkeypatch) -> None:
    """Chunks that had ended are taken from the checkpoint."""
    one = short_cell(GAME, "gda", seeds=40)  # three chunks of 16
    computed: list[int] = []
    compute = Chunk.compute

    def watched(self, *args):
        computed.append(self.seeds[0])
        compute(self, *args)

    monkeypatch.setattr(Chunk, "compute", watched)
    slot = MemorySlot(raises_at=16)  # in the second chunk: each writes 13 times
    with pytest.raises(Killed):
        run_cell(one, slot=slot)
    slot.raises_at = -1
    resumed = run_cell(one, slot=slot)
    assert computed == [0, 16, 16, 32]
    assert_same(resumed, run_cell(one))


def test_other_circumstances_begin_anew(monkeypatch) -> None:
    """A checkpoint of another version of torch is not used."""
    one, slot = short_cell(GAME, "gda"), MemorySlot(raises_at=5)
    with pytest.raises(Killed):
        run_cell(one, slot=slot)
    monkeypatch.setattr("mmbench.engine.run_cell.torch.__version__", "1.0")
    slot.written, slot.raises_at = 0, 13
    with pytest.raises(Killed):  # as many writings as a whole cell makes, and no fewer
        run_cell(one, slot=slot)


@pytest.mark.parametrize("change", ["metrics", "keep"])
def test_what_is_recorded_must_be_the_same(change: str) -> None:
    """A checkpoint with other columns or iterates is not used."""
    one, slot = short_cell(GAME, "gda"), MemorySlot(raises_at=5)
    with pytest.raises(Killed):
        run_cell(one, slot=slot)
    more = (*one.metrics, METRICS.build("field_norm"))
    changes = {"metrics": more, "keep": "none"}
    other = replace(one, **{change: changes[change]})
    assert other.key == one.key
    slot.raises_at = -1
    assert_same(run_cell(other, slot=slot), run_cell(other))


def test_hooks_that_were_left_on_are_refused() -> None:
    """They would change the gradients of every cell after the one that set them."""
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda x: 2 * x, lambda x: x),
        pytest.raises(CodeError, match="No hooks of torch on saved tensors may be on"),
    ):
        run_cell(make_cell("bilinear", GDA(), seeds=1, steps=2))
    assert not run_cell(make_cell("bilinear", GDA(), seeds=1, steps=2)).reason

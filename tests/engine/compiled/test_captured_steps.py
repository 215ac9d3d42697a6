"""Captured steps give the bits, records, endings and charges of eager ones.

On a pretended device, with a recorder in the place of CUDA graphs: what is replayed are
the operations of the captured function, in its memory.
"""

import importlib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.code_guard import CodeGuard
from mmbench.core.columns import COUNTED
from mmbench.core.conjugate_gradient import conjugate_gradient
from mmbench.core.cost import Cost
from mmbench.core.game import Game
from mmbench.core.gmres import MAX_BASIS, gmres
from mmbench.core.placement import Placement
from mmbench.core.repetition import charging, making_loops
from mmbench.core.status import Status
from mmbench.core.vectors import keep, masked
from mmbench.engine import chunk
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.compiled import block, captured_steps
from mmbench.engine.compiled.traces import DependentError
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import arithmetic, run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.tools import IterateEntries

ROOT = Path(__file__).parents[3]
GAN = "four_gaussians[hidden=6,noise=3,batch=8]"


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the stand-in for CUDA graphs."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(CodeGuard, "__init__", lambda self, *_: None)
    monkeypatch.setattr(CodeGuard, "check", lambda self: None)
    return importlib.import_module("benchmarks.device.recorded")


def cell_of(task: str | Task, algorithm: Any, **options: Any) -> Cell:
    """Return a cell whose records do not fall on the ends of turns or blocks."""
    built = TASKS.coerce(task)
    options = {"steps": 17, "records": 4, "seeds": (0, 1, 2), "keep": "all"} | options
    return Cell(
        task=built,
        algorithm=ALGORITHMS.coerce(algorithm),
        metrics=metrics_for(built, [IterateEntries()]),
        **options,
    )


def captured(
    recorded: ModuleType, cell: Cell, *, compiled: bool | None = True
) -> Trajectory:
    """Return a cell computed on the pretended device, with captured steps."""
    with recorded.recorded_graphs():
        place = Placement(torch.device("cuda", 0), compiled=compiled)
        return run_cell(cell, place._replace(width=len(cell.seeds)))


def must_be_eager(cell: Cell, found: Trajectory) -> None:
    """Check that a trajectory has the bits of eager steps on the CPU."""
    eager = run_cell(cell, Placement(width=len(cell.seeds)))
    assert (eager.backend, eager.reason, found.reason) == ("eager", "", "")
    assert found.status == eager.status
    assert found.steps == eager.steps
    np.testing.assert_array_equal(found.stopped_at, eager.stopped_at)
    for name in COUNTED:
        np.testing.assert_array_equal(found.counts[name], eager.counts[name])
    for one in ("columns", "arrays", "iterates"):
        mine, theirs = getattr(found, one), getattr(eager, one)
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


def slow(*values: Any) -> Any:
    """Return the parameters of a slow test."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("bilinear", "gda"),
        ("bilinear", "extragradient"),
        ("bilinear", "alternating_gda"),
        ("bilinear", "unrolled[k=2]"),
        ("dirac_gan", "gda[direction=adam]"),
        ("quadratic", "acgd[iterations=2]"),  # with two turns
        ("bilinear", "cgd"),
        ("quadratic", "acgd"),
        ("bilinear", "follow_the_ridge"),  # whose solves need no iteration
        slow("bilinear", "stackelberg"),  # whose systems are singular
        slow("quadratic", "proximal_point"),
        ("dirac_gan", "one_sided_cgd"),
        (GAN, "gda"),
        *(
            slow(GAN, words)
            for words in (
                *("gda[direction=adam]", "extragradient", "unrolled"),
                *("alternating_gda[direction=adam,k=2]", "acgd[iterations=2]"),
                *("accept_reject", "extragradient[minibatch=fresh]"),
                *("cgd", "acgd", "follow_the_ridge[iterations=20]"),
            )
        ),
        slow("digits01[hidden=6,noise=3,batch=4]", "acgd[iterations=9]"),
        slow("digits01[hidden=6,noise=3,batch=4]", "gda[direction=adam]"),
    ],
)
def test_bits_are_those_of_eager_steps(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch, task: str, words: str
) -> None:
    """Iterates, records, paths and charges; with more steps than one block has."""
    monkeypatch.setattr(block, "CAPTURED_STEPS", 5)
    cell = cell_of(task, words)
    found = captured(recorded, cell)
    assert found.backend == "captured"
    must_be_eager(cell, found)


class Ends(NamedTuple):
    """A state that counts steps, and has the step at which each run ends."""

    time: torch.Tensor
    end: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Ending(Algorithm):
    """An algorithm of two turns that ends runs at different steps.

    Args:
        what: how runs end: "nan", "far" or "stop".
        widens: whether its state changes its dtype.
    """

    what: str
    widens: bool = False

    @property
    def cost(self) -> Cost:
        """What one step uses at most."""
        return Cost(grad_x=1, grad_y=2)

    def init(self, oracle: Any, z: torch.Tensor) -> Ends:
        """Return a count of zero."""
        ends = torch.tensor([99, 0, 3, 4, 6, 16]).to(z.device)
        return Ends(torch.zeros_like(ends), ends)

    def step(self, oracle: Any, z: torch.Tensor, state: Ends) -> Any:
        """Move by gradients that turn by turn are asked for."""
        if oracle.turn(state.time, of=2):
            moved = z + oracle.grad_x(z).sum(1, keepdim=True)
        else:
            oracle.grad_y(z, on=z[:, 0] > 0)
            moved = z + oracle.grad_y(z).sum(1, keepdim=True)
        if self.what != "stop":
            value = torch.nan if self.what == "nan" else 1e9
            moved = torch.where((state.time == state.end)[:, None], value, moved)
        return moved, Ends(state.time + 1, state.end + (0.0 if self.widens else 0))

    def done(self, state: Ends) -> torch.Tensor | None:
        """Return which runs have stopped by themselves."""
        return state.time > state.end if self.what == "stop" else None


@pytest.mark.parametrize("what", ["nan", "far", "stop"])
def test_runs_end_within_replays(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Each at its step, frozen and charged for its own turns only."""
    monkeypatch.setattr(block, "CAPTURED_STEPS", 6)
    cell = cell_of("bilinear", Ending(what=what), seeds=tuple(range(6)))
    found = captured(recorded, cell)
    assert found.backend == "captured"
    assert found.stopped_at.tolist() == [17, 1, 4, 5, 7, 17]
    assert found.counts["grad_x"][-1].tolist() == [8, 0, 2, 2, 3, 8]
    must_be_eager(cell, found)


class Remembering(Game):
    """A game with data whose memory is an average of its minibatches."""

    dim_x = dim_y = batch_size = sample_size = 1
    dtype = torch.float32

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def draw(self, generator: torch.Generator, count: int) -> torch.Tensor:
        """Draw minibatches."""
        return torch.randn(count, 1, generator=generator)

    def memory(self, z: torch.Tensor) -> tuple:
        """Return averages of zero."""
        return (torch.zeros_like(z[:, :1]),)

    def advance(self, z: torch.Tensor, memory: tuple, sample: torch.Tensor) -> tuple:
        """Move the averages towards the iterates."""
        return (0.9 * memory[0] + 0.1 * z[:, :1],)

    def recall(self, sample: torch.Tensor, memory: tuple) -> torch.Tensor:
        """Return minibatches moved by the averages."""
        return sample + memory[0]

    def losses(self, x: Any, y: Any, sample: Any, *, train: bool = True) -> Any:
        """Return a bilinear loss around the minibatch."""
        loss = ((x - sample) * (y + sample)).sum(1)
        return loss, -loss


@dataclass(frozen=True, kw_only=True)
class RememberingTask(Task):
    """The task of a game that remembers."""

    gives = frozenset({Capability.ZERO_SUM})
    metrics = ()

    def build(self, place: Any) -> Game:
        """Return the game."""
        return Remembering(place.device)

    def start(self, game: Game, generator: torch.Generator) -> torch.Tensor:
        """Return a point that depends on the seed."""
        return torch.randn(2, generator=generator)


def test_memory_of_a_game_goes_on_within_replays(recorded: ModuleType) -> None:
    """Each step sees the memory that the step before has left."""
    cell = cell_of(RememberingTask(), "extragradient[minibatch=fresh]")
    found = captured(recorded, cell)
    assert found.backend == "captured"
    must_be_eager(cell, found)
    without = Remembering.recall
    Remembering.recall = lambda self, sample, memory: sample + 0 * memory[0]
    try:
        other = run_cell(cell, Placement(width=3))
    finally:
        Remembering.recall = without
    assert (other.iterates["z"][-1] != found.iterates["z"][-1]).all()


ZERO_SUM, GENERAL = "random_quadratic", "random_quadratic[zero_sum=false,dim=12]"


@pytest.mark.parametrize(
    ("task", "words", "most"),
    [
        (ZERO_SUM, "cgd[step_size=10.0]", 99),
        (ZERO_SUM, "cgd[step_size=10.0,iterations=9]", 9),
        (ZERO_SUM, "cgd[tolerance=1000000.0]", 0),  # every first guess is a solution
        (ZERO_SUM, "acgd[step_size=1.0]", 99),
        (ZERO_SUM, "acgd[floor=1000000.0]", 0),
        (ZERO_SUM, "follow_the_ridge[damping=0.01]", 99),
        (ZERO_SUM, "one_sided_cgd[step_size=10.0,player=x]", 99),
        slow(GENERAL, "cgd[step_size=100.0]", 99),
        slow(GENERAL, "stackelberg", 99),
        slow(GENERAL, "cgd[tolerance=1000000.0]", 0),
    ],
)
def test_solves_end_where_eager_ones_do(
    recorded: ModuleType, task: str, words: str, most: int
) -> None:
    """After iterations that differ from run to run, from none to the most."""
    steps = 6
    cell = cell_of(task, words, steps=steps, seeds=(0, 1, 2, 3, 4))
    found = captured(recorded, cell)
    assert found.backend == "captured"
    must_be_eager(cell, found)
    cost = cell.algorithm.cost
    products = found.counts["hvps"][-1] - cost.hvps * steps
    iterations = (products // cost.hvps_per_iteration).tolist()
    if most < 99:
        assert iterations == [most * steps] * 5
    else:
        assert len(set(iterations)) > 1
        assert max(iterations) > 8 * steps  # after which the host looks less often


class Systems:
    """Positive definite systems of four runs, whose products are counted.

    Args:
        size: number of unknowns.
    """

    def __init__(self, size: int) -> None:
        self.random = torch.Generator().manual_seed(0)
        root = torch.randn(4, size, size, generator=self.random) / size**0.5
        shifts = torch.tensor([9.0, 1.0, 0.1, 0.001])  # the last is the hardest
        self.a = shifts[:, None, None] * torch.eye(size) + root @ root.mT
        self.b = torch.zeros(4, size)
        self.calls = 0

    def draw(self) -> None:
        """Draw other right-hand sides."""
        self.b.copy_(torch.randn(self.b.shape, generator=self.random))

    def solve(self, solver: Any, limit: int) -> tuple[torch.Tensor, ...]:
        """Return solutions, iterations and what they charge."""
        none = torch.zeros(4, dtype=torch.int32)
        charged = SimpleNamespace(charges={"hvps": 0}, run_charges={}, alive=none == 0)

        def product(v: torch.Tensor, on: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            before = charged.run_charges.get("hvps", none)
            charged.run_charges["hvps"] = before + on.int()
            return (self.a @ v[:, :, None])[:, :, 0]

        with charging(charged):
            found = solver(product, self.b, tolerance=1e-4, limit=limit)
        return found.x, found.iterations, charged.run_charges.get("hvps", none)


def nested(product: Any, b: torch.Tensor, *, by: Any = None, **options: Any) -> Any:
    """Solve systems whose matrix needs a solver itself."""

    def nest(v: torch.Tensor, on: torch.Tensor) -> torch.Tensor:
        return v + conjugate_gradient(product, masked(v, on), **options).x

    return (by or conjugate_gradient)(nest, b, **options)


SIZE = MAX_BASIS + 8


@pytest.mark.parametrize(
    ("solver", "size", "limit"),
    [
        (conjugate_gradient, SIZE, 12),
        (conjugate_gradient, SIZE, 50),
        (nested, SIZE, 20),
        (gmres, 3, 9),
        (gmres, SIZE, 10),
        *(slow(gmres, SIZE, MAX_BASIS + more) for more in (1, 2)),
        slow(gmres, SIZE, 2 * MAX_BASIS + 9),
    ],
)
def test_solvers_are_captured_with_all_their_ends(
    recorded: ModuleType, solver: Any, size: int, limit: int
) -> None:
    """Replays solve other systems, with charges, also where a basis is built anew."""
    systems = Systems(size)
    found = systems.solve(solver, limit)

    def solve() -> None:
        captured_steps._copy(found, systems.solve(solver, limit))

    graphs = recorded.RecordedGraphs(torch.device("cpu"))
    replay = captured_steps._Pieces(graphs).capture(solve)
    made = []
    for number in range(4):
        systems.draw()
        systems.b[number] = torch.nan if number == 1 else 0.0
        if number == 2:
            systems.b.zero_()
        calls = systems.calls
        replay()
        assert systems.calls == calls  # the code does not run again
        made.append(found[1].tolist())
        for one, other in zip(found, systems.solve(solver, limit), strict=True):
            np.testing.assert_array_equal(one, other)
        if solver is not nested:
            assert torch.equal(found[1], found[2])
    assert [row[run] for run, row in enumerate(made)] == [0] * 4
    assert made[2] == [0] * 4
    if size == SIZE:
        assert len(set(made[0])) > 2
        assert solver is nested or limit - 1 <= made[0][3] <= limit


def test_a_look_within_an_iteration_of_gmres_is_refused() -> None:
    """Its pieces are not captured in pieces."""
    systems = Systems(3)
    refusing = captured_steps._RefusedLooks()
    with refusing, making_loops(captured_steps._ONE_TURN):
        systems.solve(nested, 9)
        systems.solve(gmres, 9)
        with pytest.raises(DependentError):
            systems.solve(partial(nested, by=gmres), 9)


@dataclass(frozen=True, kw_only=True)
class Solving(Ending):
    """An algorithm that solves a system in each step, and ends runs."""

    @property
    def cost(self) -> Cost:
        """What one step uses at most."""
        return Cost(grad_x=1, grad_y=1, hvps_per_iteration=2)

    def step(self, oracle: Any, z: torch.Tensor, state: Ends) -> Any:
        """Move x by the solution, and y by its gradient."""
        at = oracle.linearise(z)
        solved = conjugate_gradient(
            lambda v, on: v + 9 * at.xy(at.yx(v, on=on), on=on),
            at.grad_x,
            tolerance=1e-6,
            limit=99,
        )
        moved = z - oracle.join(solved.x, 0.1 * at.grad_y)
        moved = torch.where((state.time == state.end)[:, None], torch.nan, moved)
        return moved, Ends(state.time + 1, state.end)


def test_runs_end_while_others_are_solved(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have ended are charged nothing, though their systems are solved."""
    monkeypatch.setattr(block, "CAPTURED_STEPS", 6)
    method = Solving(what="nan")
    cell = cell_of("random_quadratic", method, seeds=tuple(range(6)))
    found = captured(recorded, cell)
    assert found.backend == "captured"
    assert found.stopped_at.tolist() == [17, 1, 4, 5, 7, 17]
    assert len(set(found.counts["hvps"][-1].tolist())) > 4
    must_be_eager(cell, found)


def test_a_step_that_depends_on_numbers_is_not_captured(recorded: ModuleType) -> None:
    """Loops of methods that are not made by what makes those of solvers."""
    for words in (
        "proximal_point[solver=fixed_point]",
        "accept_reject_search[ascents=3]",
    ):
        cell = cell_of("bilinear", words, steps=3, records=1)
        found = captured(recorded, cell)
        assert found.backend == (
            "eager, for capturing failed: what a step does next depends on a number of "
            "a run"
        )
        must_be_eager(cell, found)


@dataclass(frozen=True, kw_only=True)
class Masking(Ending):
    """An algorithm that writes to the entries where a mask is true."""

    def step(self, oracle: Any, z: torch.Tensor, state: Ends) -> Any:
        """Move."""
        moved = z - 0.1 * oracle.field(z)
        moved[moved > 0] = moved[moved > 0] * 0.5
        return moved, Ends(state.time + 1, state.end)


def test_what_a_capture_refuses_is_said(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks as indices, another form of state, and whatever CUDA raises."""
    seeds = tuple(range(6))
    cell = cell_of("bilinear", Masking(what="stop"), seeds=seeds)
    found = captured(recorded, cell)
    assert "depends on a number of a run" in found.backend
    must_be_eager(cell, found)
    widening = Ending(what="stop", widens=True)
    found = captured(recorded, cell_of("bilinear", widening, seeds=seeds))
    assert "captured steps give other bits" in found.backend
    assert "must return a state of the form" in found.reason

    def broken(*_: Any) -> None:
        raise RuntimeError("CUDA error: not permitted when stream is capturing\nline 2")

    monkeypatch.setattr(recorded.RecordedGraphs, "capturing", broken)
    cell = cell_of("bilinear", "gda")
    found = captured(recorded, cell)
    assert found.backend == (
        "eager, for capturing failed: RuntimeError: CUDA error: not permitted when "
        "stream is capturing"
    )
    must_be_eager(cell, found)


def test_a_graph_with_other_bits_is_not_used(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first steps are compared with eager ones."""

    def nothing(_: Any) -> Any:
        return nullcontext(lambda: None)

    monkeypatch.setattr(recorded.RecordedGraphs, "capturing", nothing)
    cell = cell_of("bilinear", "gda")
    found = captured(recorded, cell)
    assert found.backend == (
        "eager, for capturing failed: UnsupportedError: captured steps give other bits"
    )
    must_be_eager(cell, found)


def test_no_memory_is_an_error(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the runs with the width that fits, which captured steps tell."""
    monkeypatch.setattr(chunk, "CAPTURE_STEPS", 20)
    made = recorded.RecordedGraphs.warm_up

    def warm_up(self: Any, function: Any) -> None:
        if len(function.func.__self__._runs.z) > 1:
            raise torch.OutOfMemoryError
        made(self, function)

    monkeypatch.setattr(recorded.RecordedGraphs, "warm_up", warm_up)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    cell = cell_of("bilinear", "gda", steps=chunk.CAPTURE_STEPS, seeds=(0, 1, 2, 3))
    found = captured(recorded, cell, compiled=None)
    assert set(found.status) == {Status.MEMORY}
    assert "A width of 1 fits: choose --width 1 or width=1." in found.reason


def test_the_rule_captures_long_cells(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is refused; short ones where it is asked for."""
    steps = 20
    monkeypatch.setattr(chunk, "CAPTURE_STEPS", steps)
    for compiled, number, backend in (
        *((None, steps, "captured"), (None, steps - 1, "eager")),
        *((False, steps, "eager"), (True, 1, "captured")),
    ):
        cell = cell_of("bilinear", "gda", steps=number, records=1)
        assert captured(recorded, cell, compiled=compiled).backend == backend


def test_the_host_asks_little_of_the_device(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is one replay and a copy of each draw; a block is looked at once."""
    blocks: list[Any] = []
    make_block = Chunk._make_block

    with recorded.recorded_graphs() as device:

        def counting(self: Chunk, made: Any, count: int) -> None:
            graphs = recorded.RecordedGraphs.made
            before, replays = device.counts.copy(), graphs.replays
            make_block(self, made, count)
            row = device.counts - before
            blocks.append((count, graphs.replays - replays, row, made))

        monkeypatch.setattr(Chunk, "_make_block", counting)
        place = Placement(torch.device("cuda", 0), compiled=True, width=3)
        run_cell(cell_of(GAN, "gda", steps=36, records=2), place)
    (operations,) = recorded.RecordedGraphs.made.operations
    assert operations > 80
    for count, replays, row, made in blocks:
        assert count == replays
        draws = len(made._captured._draws)
        buffers = 13  # of the runs before and after the block
        assert draws * count <= row["operations"] <= draws * count + 2 * buffers
        assert row["looks"] == 0
        assert row["copies"] <= 1 + 2 * draws
    assert sum(count for count, *_ in blocks) == 36


def test_draws_are_asked_for_step_by_step(recorded: ModuleType) -> None:
    """A block of many steps keeps the draws of one."""
    asked = []
    task = TASKS.build(GAN)
    with recorded.recorded_graphs(), arithmetic(torch.device("cuda")):
        place = Placement(torch.device("cuda", 0))
        made = block.compile_block(ALGORITHMS.build("gda"), task, place, 3)
        graphs = recorded.RecordedGraphs.made
        start, first, _ = made._step.examples(3)
        before = graphs.replays

        def draws() -> Iterator[list]:
            for number in range(4):
                asked.append(graphs.replays - before)
                yield [keep(start.alive, first[0], first[0])] if number else first

        def make() -> Any:
            given = start.z, start.state, start.memory, start.alive
            return made(*given, draws(), 0, 4).runs

        one = make()
        z = one.z.clone()
        make()
        assert torch.equal(one.z.here, z.here)  # no later call overwrites a result
    assert asked[:4] == [0, 1, 2, 3]


def test_one_block_is_kept_on_a_device(recorded: ModuleType) -> None:
    """Graphs keep the memory of a step, of which there is little on a GPU."""
    with recorded.recorded_graphs(), arithmetic(torch.device("cuda")):
        place = Placement(torch.device("cuda", 0))
        compiled = [
            block.compile_block(ALGORITHMS.build("gda"), TASKS.build(task), place, 3)
            for task in ("bilinear", "quadratic", "quadratic")
        ]
        assert compiled[1] is compiled[2]
        assert block._compile_block.cache_info().currsize == 1


def test_a_checkpoint_goes_on_with_captured_steps(
    recorded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From within a block's records, to the same bits."""
    monkeypatch.setattr(block, "CAPTURED_STEPS", 5)
    cell = cell_of(RememberingTask(), "gda", records=2)
    saved: list[Any] = []
    with recorded.recorded_graphs(), arithmetic(torch.device("cuda")):
        place = Placement(torch.device("cuda", 0), compiled=True)
        made = Chunk(cell, place, 3, Recording(cell, cell.seeds), None)

        def save() -> None:
            if made.step not in cell.schedule:
                saved.append((made.snapshot(), made._recording.snapshot()))

        made.compute(lambda *_: None, save, 0.0)
        snapshot, recording = saved[0]
        again = Chunk(cell, place, 3, Recording.from_snapshot(cell, recording), None)
        again.restore(snapshot)
        again.compute(lambda *_: None)
        assert torch.equal(again.z.here, made.z.here)
        assert again._recording.counts[-1].keys() == made._recording.counts[-1].keys()
        for name, counted in made._recording.counts[-1].items():
            assert counted.tolist() == again._recording.counts[-1][name].tolist()

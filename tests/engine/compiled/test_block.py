"""Compiled steps give the runs, records, endings and charges of eager ones."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from ignoring_games import Ignoring
from memory_slots import Killed, MemorySlot
from spec_variants import ALGORITHM_VARIANTS, KINDS

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.algorithms.gda import GDA
from mmbench.core.capability import Capability
from mmbench.core.code_guard import CodeGuard
from mmbench.core.columns import COUNTED
from mmbench.core.cost import Cost
from mmbench.core.description import name_of, text
from mmbench.core.errors import DescriptionError
from mmbench.core.oracle import Oracle
from mmbench.core.placement import Placement
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.compiled import block
from mmbench.engine.compiled.c_operations import UnsupportedError
from mmbench.engine.compiled.oracles import TracingState
from mmbench.engine.recording import Recording
from mmbench.engine.run_batch import RunBatch
from mmbench.engine.run_cell import arithmetic, run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics import METRICS
from mmbench.runner.compute import compute_and_store
from mmbench.runner.plan import metrics_for
from mmbench.store.folder import Store
from mmbench.tasks import TASKS
from mmbench.tasks._plane import PlaneGame
from mmbench.tasks.base import Task
from mmbench.testing.tools import PLACEMENT, IterateEntries

SMALL = "four_gaussians[hidden=4,noise=2,batch=8]"
COMPILED = PLACEMENT._replace(compiled=True)

# What a step of these does next depends on numbers of the runs.
UNTRACED = ("accept_reject_search", "curvature_eg", "svre")
# So few inner iterations are made without asking whether any run needs them.
INNER = (
    *("acgd", "cgd", "follow_the_ridge", "one_sided_cgd", "proximal_point"),
    "stackelberg",
)
SHORT: dict[str, dict[str, int]] = {
    "accept_reject_search": {"ascents": 20},
    **{name: {"iterations": 2} for name in INNER},
}
# These draw numbers of their own, or take turns: no loop.
UNLOOPED = ("accept_reject", "acgd", *UNTRACED)
PLANES = (
    "bilinear",
    "bilinear[box=1]",
    "quadratic",
    "dirac_gan[r1=0.5,clip=1.0]",
    "dirac_gan[loss=nonsaturating]",
)


@pytest.fixture(autouse=True)
def _no_cached_blocks():
    """Forget the blocks of other tests."""
    block.clear_blocks()
    yield
    block.clear_blocks()


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpret short traced graphs, which needs no C++ compiler and no time."""
    monkeypatch.setattr(block, "compile_graph", lambda graph, examples: graph)
    monkeypatch.setattr(block, "GRAPH_STEPS", 3)


@pytest.fixture
def traced(interpreted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no loops, but graphs."""
    monkeypatch.setattr(block, "loop_over_numbers", unable)
    monkeypatch.setattr(block, "loop_over_arrays", unable)


def unable(*_: Any) -> None:
    """Refuse to make a loop."""
    raise UnsupportedError("for a test")


def short(words: str) -> str:
    """Return a method, and its base, with few inner iterations, to be compiled."""
    return text(shortened(ALGORITHMS.build(words)))


def shortened(algorithm: Any) -> Any:
    """Return a method as `short` does."""
    changes: dict[str, Any] = dict(SHORT.get(name_of(type(algorithm)), {}))
    if hasattr(algorithm, "base"):
        changes["base"] = shortened(algorithm.base)
    return replace(algorithm, **changes)


def cell_of(task: str | Task, algorithm: Any, **options: Any) -> Cell:
    """Return a cell whose records do not fall on the ends of blocks."""
    built = TASKS.coerce(task)
    options = {
        "steps": 11,
        "records": 4,
        "dtype": "float64",
        "seeds": (0, 1, 2),
    } | options
    return Cell(
        task=built,
        algorithm=ALGORITHMS.coerce(algorithm),
        metrics=metrics_for(built, [IterateEntries()]),
        **options,
    )


def must_match(one: Trajectory, other: Trajectory) -> None:
    """Check that trajectories are equal, their numbers but for rounding."""
    assert one.steps == other.steps
    assert one.status == other.status
    assert one.stopped_at.tolist() == other.stopped_at.tolist()
    for name in COUNTED:
        np.testing.assert_array_equal(one.counts[name], other.counts[name])
    for name, values in one.columns.items():
        np.testing.assert_allclose(values, other.columns[name], rtol=1e-9, atol=1e-12)
    assert one.arrays.keys() == other.arrays.keys()
    for name, values in one.arrays.items():
        np.testing.assert_allclose(values, other.arrays[name], rtol=1e-5, atol=1e-7)


# Of first and of second derivatives one, with a network; the others are slow tests.
NETWORKS = ("gda", "cgd")


def slow(*values: str) -> Any:
    """Return the parameters of a slow test."""
    return pytest.param(*values, marks=pytest.mark.slow)


# The second is for methods that need a finite sum.
GAMES = ("bilinear", "finite_sum_bilinear[terms=5]")


def fits(words: str, game: str) -> bool:
    """Return whether a method is compiled on a game."""
    needs, gives = needs_of(ALGORITHMS.build(words)), TASKS.build(game).gives
    if game == GAMES[1]:
        return Capability.FINITE_SUM in needs
    return needs <= gives


IGNORED = [
    ("gda", ("none", "none")),
    ("alternating_gda", ("y", "y")),
    ("unrolled[k=2]", ("y", "y")),
    ("cgd", ("y", "negative")),
]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("words", "task"),
    [
        *(
            (words, game) if words in KINDS else slow(words, game)
            for words, game in product(ALGORITHMS, GAMES)
            if fits(words, game)
        ),
        *product(NETWORKS, [SMALL]),
        *(
            slow(words, SMALL)
            for words in (*ALGORITHMS, *ALGORITHM_VARIANTS)
            if words not in NETWORKS and fits(words, SMALL)
        ),
    ],
)
def test_a_compiled_cell_is_the_same(words: str, task: str) -> None:
    """Every method and variant gives the same compiled, with and without data."""
    name, words = words.partition("[")[0], short(words)
    cell = cell_of(task, words, steps=11 if task != SMALL else 3, records=3)
    eager, other = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert (eager.reason, other.reason) == ("", "")
    assert eager.backend == "eager"
    assert (other.backend == "compiled") == (name not in UNTRACED)
    must_match(eager, other)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("words", "losses"), IGNORED)
def test_a_compiled_loss_may_ignore_a_player(
    words: str, losses: tuple[str, str]
) -> None:
    """A gradient that is zero by structure is traced as one that is computed."""
    loss_x, loss_y = losses
    cell = cell_of(Ignoring(loss_x=loss_x, loss_y=loss_y), short(words), steps=3)
    eager, other = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert (eager.reason, other.reason, other.backend) == ("", "", "compiled")
    must_match(eager, other)


LOOPED = [
    (words, task)
    if words in KINDS and task in PLANES[:2]  # a second or more of the C compiler
    else slow(words, task)
    for words, task in (
        *product([*ALGORITHMS, *ALGORITHM_VARIANTS], PLANES[:1]),
        *product(["cgd"], PLANES[1:]),
    )
    if words.partition("[")[0] not in UNLOOPED
    and "base=cgd" not in words  # with many inner iterations
    and ALGORITHMS.coerce(words).needs <= TASKS.build(task).gives
]


@pytest.mark.parametrize(("words", "task"), LOOPED)
def test_a_looped_cell_is_the_same(
    words: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop gives the same over several calls, paths and endings included."""
    words = short(words)
    monkeypatch.setattr(block, "compile_graph", None)  # a loop, or it breaks down
    monkeypatch.setattr(block, "LOOP_STEPS", 7)
    cell = cell_of(task, words, steps=41, records=3)
    eager, other = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert (eager.reason, other.reason, other.backend) == ("", "", "compiled")
    must_match(eager, other)


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ("gda[direction=adam]", SMALL),
        ("cgd", SMALL),  # whose inner loop ends by its numbers
        slow("acgd", SMALL),
        slow("accept_reject", "digits01[hidden=6,noise=3,batch=8]"),
        *(
            slow(words, SMALL)
            for words in (*ALGORITHMS, *ALGORITHM_VARIANTS)
            if words.partition("[")[0] not in UNTRACED
            and fits(words, SMALL)
            and "annealed" not in words  # its schedule is single, the rest double
        ),
    ],
)
def test_a_cell_of_arrays_is_the_same(
    words: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop over the arrays of a network gives what torch gives."""
    monkeypatch.setattr(block, "compile_graph", None)  # a loop, or it breaks down
    cell = cell_of(task, short(words), steps=3, records=3)
    eager, other = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert (eager.reason, other.reason, other.backend) == ("", "", "compiled")
    must_match(eager, other)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        *product(["gda"], ["1.0", "1e3", "1e300"]),
        ("cgd[iterations=2]", "1e300"),  # products of these are no numbers
        *(slow("cgd[iterations=4]", size) for size in ("1.0", "1e3", "1e300")),
    ],
)
def test_looped_runs_end_as_they_should(words: str, size: str) -> None:
    """Runs diverge or become NaN at their step, and are not charged afterwards."""
    words = f"{words.rstrip(']')}{',' if '[' in words else '['}step_size={size}]"
    cell = cell_of("quadratic", words, seeds=tuple(range(70)), steps=40)
    eager, other = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert other.backend == "compiled"
    assert len(set(eager.status)) == 1
    must_match(eager, other)


def test_single_precision_loops_too() -> None:
    """A loop in float32 has integers of 32 bits and gives the same."""
    cell = cell_of("bilinear", "omd[direction=adam]", dtype="float32", steps=30)
    eager = run_cell(cell, PLACEMENT._replace(dtype=torch.float32))
    other = run_cell(cell, COMPILED._replace(dtype=torch.float32))
    assert other.backend == "compiled"
    for name, values in eager.columns.items():
        np.testing.assert_allclose(values, other.columns[name], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_turns_are_taken_where_records_cut_them() -> None:
    """A record after an odd number of steps does not change the turn."""
    cell = cell_of(SMALL, short("acgd"), steps=5, records=5)
    found = run_cell(cell, COMPILED)
    assert found.backend == "compiled"
    must_match(run_cell(cell, PLACEMENT), found)


class Clock(NamedTuple):
    """A state that counts the steps of each run."""

    time: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Turning(Algorithm):
    """An algorithm that asks one field or two, in turn.

    Args:
        widens: whether its state changes its dtype instead.
    """

    widens: bool = False

    @property
    def cost(self) -> Cost:
        """The most that one step uses."""
        return Cost(grad_x=2, grad_y=2)

    def init(self, oracle: Any, z: torch.Tensor) -> Clock:
        """Return a count of zero."""
        return Clock(torch.zeros(len(z), dtype=torch.int64))

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """Make one step."""
        if self.widens:
            return z - 0.1 * oracle.field(z), Clock(state.time + 0.25)
        first = oracle.field(z)
        if oracle.turn(state.time, of=2) == 0:
            oracle.grad_y(z, on=z[:, 0] > 0)
            return z - 0.1 * first, Clock(state.time + 1)
        return z - 0.1 * oracle.field(z - 0.1 * first), Clock(state.time + 1)


@pytest.mark.usefixtures("traced")
def test_turns_are_charged_what_each_takes() -> None:
    """Each turn is charged, also where only one charges some of the runs."""
    cell = cell_of("bilinear", Turning(), steps=9)
    found = run_cell(cell, COMPILED)
    assert found.backend == "compiled"
    assert found.counts["grad_x"][-1].tolist() == [13, 13, 13]
    must_match(run_cell(cell, PLACEMENT), found)


@pytest.mark.usefixtures("interpreted")
def test_a_state_that_changes_its_type_makes_no_loop() -> None:
    """A state that changes its dtype is refused by the loop, not converted back."""
    task = TASKS.build("bilinear")
    made = block.Block(
        Turning(widens=True), task, task.build(PLACEMENT), 3, swept=False
    )
    made.compile()
    assert made.length == block.GRAPH_STEPS


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    "command", ["no-such-compiler", pytest.param("false", marks=pytest.mark.slow)]
)
def test_without_a_c_compiler_there_are_graphs(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A C compiler that is missing or fails leads to a graph."""
    monkeypatch.setenv("CC", command)
    cell = cell_of("bilinear", "gda")
    found = run_cell(cell, COMPILED)
    assert found.backend == "compiled"
    must_match(run_cell(cell, PLACEMENT), found)


@pytest.mark.usefixtures("traced")
def test_what_cannot_be_compiled_states_why() -> None:
    """The cell is computed eagerly, and its backend states the reason."""
    found = run_cell(cell_of("bilinear", "acgd"), COMPILED)
    assert found.backend == (
        "eager, for compiling failed: what a step does next depends on a number of a "
        "run"
    )
    assert found.status == [Status.FINISHED] * 3


def test_a_compiler_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell is computed eagerly, with what the compiler raised as the reason."""

    def broken(graph: Any, examples: Any) -> Any:
        raise RuntimeError("no C++ compiler\nsecond line")

    monkeypatch.setattr(block, "compile_graph", broken)
    monkeypatch.setattr(block, "loop_over_numbers", unable)
    monkeypatch.setattr(block, "loop_over_arrays", unable)
    monkeypatch.setattr(block, "GRAPH_STEPS", 3)
    cell = cell_of("bilinear", "gda")
    found = run_cell(cell, COMPILED)
    reason = "eager, for compiling failed: RuntimeError: no C++ compiler"
    assert found.backend == reason
    must_match(run_cell(cell, PLACEMENT), found)


@pytest.mark.parametrize(
    ("task", "length"),
    [
        ("bilinear[dim=2]", 3),  # few steps, for the C++ compiler takes seconds
        pytest.param("bilinear[dim=2]", 20, marks=pytest.mark.slow),
        pytest.param(SMALL, 20, marks=pytest.mark.slow),
    ],
)
def test_machine_code_gives_the_same(
    task: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's compiler gives the same, on a game without data and on one with them."""
    monkeypatch.setattr(block, "GRAPH_STEPS", length)
    monkeypatch.setattr(block, "loop_over_numbers", unable)
    monkeypatch.setattr(block, "loop_over_arrays", unable)
    cell = cell_of(task, "gda", steps=23)
    found = run_cell(cell, COMPILED)
    assert found.backend == "compiled"
    must_match(run_cell(cell, PLACEMENT), found)


@dataclass(frozen=True, kw_only=True)
class Ending(Algorithm):
    """An algorithm that moves every run by 1 a step, until it ends.

    Args:
        what: how runs end: "nan", "far" or "stop".
        at: the step at which each run ends, from 0.
    """

    what: str = "stop"
    at: tuple[int, ...] = (5,)

    @property
    def cost(self) -> Cost:
        """What one step uses."""
        return Cost(grad_x=1)

    def _ends(self, runs: int) -> torch.Tensor:
        """Return the step at which each of some runs, side by side, ends."""
        return torch.tensor(self.at).repeat(runs // len(self.at) + 1)[:runs]

    def init(self, oracle: Any, z: torch.Tensor) -> Clock:
        """Return a count of zero."""
        return Clock(torch.zeros(len(z), dtype=torch.int64))

    def step(self, oracle: Any, z: torch.Tensor, state: Clock) -> Any:
        """Make one step."""
        oracle.grad_x(z)
        value = {"nan": torch.nan, "far": 1e7}.get(self.what)
        moved = z + 1
        if value:
            now = state.time == self._ends(len(state.time))
            moved = torch.where(now[:, None], value, moved)
        return moved, Clock(state.time + 1)

    def done(self, state: Clock) -> torch.Tensor | None:
        """Return which runs have stopped by themselves."""
        if self.what != "stop":
            return None
        return state.time > self._ends(len(state.time))


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("nan", Status.NONFINITE),
        ("far", Status.DIVERGED),
        ("stop", Status.STOPPED),
    ],
)
def test_endings_within_a_block(what: str, status: Status) -> None:
    """A run that ends is charged for its last step, and does not move afterwards."""
    at = (99, 0, 2, 3, 7, 10, 99)  # of blocks of three steps: first, last, between
    cell = cell_of("bilinear", Ending(what=what, at=at), seeds=tuple(range(len(at))))
    found = run_cell(cell, COMPILED)
    assert (found.reason, found.backend) == ("", "compiled")
    assert found.status == [Status.FINISHED, *[status] * 5, Status.FINISHED]
    steps = [11, 1, 3, 4, 8, 11, 11]
    assert found.stopped_at.tolist() == steps
    assert found.counts["grad_x"][-1].tolist() == steps
    must_match(run_cell(cell, PLACEMENT), found)


@pytest.mark.usefixtures("traced")
def test_all_runs_may_end_in_a_block() -> None:
    """When all runs have ended the records repeat to the end, and so does the path."""
    cell = cell_of("bilinear", "gda[step_size=100.0]", steps=20)
    found = run_cell(cell, COMPILED)
    assert set(found.status) == {Status.DIVERGED}
    must_match(run_cell(cell, PLACEMENT), found)


@pytest.mark.usefixtures("traced")
def test_an_interrupted_cell_goes_on(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled cell goes on from its checkpoint to the same bits."""
    monkeypatch.setenv("MMBENCH_CHECKPOINT", "0")
    cell = cell_of("quadratic", "omd", steps=30)
    whole = run_cell(cell, COMPILED)
    slot = Store(tmp_path).slot(cell.key)

    class Killed(BaseException):
        """The end of the process."""

    write, written = type(slot).write, []

    def dying(self: Any, content: bytes) -> None:
        write(self, content)
        written.append(content)
        if len(written) == 4:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(slot), "write", dying)
        with pytest.raises(Killed):
            run_cell(cell, COMPILED, slot=slot)
    again = run_cell(cell, COMPILED, slot=slot)
    assert len(written) == 4
    for name, values in whole.columns.items():
        np.testing.assert_array_equal(values, again.columns[name])


@pytest.mark.usefixtures("traced")
def test_the_footer_states_the_backend(tmp_path: Any) -> None:
    """The footer states whether a cell was compiled; the key does not depend on it."""
    store, cell = Store(tmp_path), cell_of("bilinear", "gda", dtype="float32")
    compute_and_store(cell, store, Placement(compiled=True))
    assert store.footer(cell.key)["backend"] == "compiled"


def test_a_step_must_draw_the_same_each_time() -> None:
    """A step that draws something else than when it was probed is refused."""
    task = TASKS.build(SMALL)
    game = task.build(PLACEMENT)
    alive = torch.ones(2, dtype=torch.bool)
    state = TracingState(game, (0, 1), (), alive, [("normal", 3)], [torch.zeros(2, 3)])
    oracle = Oracle(state)
    with pytest.raises(DescriptionError, match="must draw the same"):
        oracle.normal(4)


def test_a_step_must_take_the_same_turns() -> None:
    """A step that asks for other turns than when it was probed is refused."""
    game = TASKS.build("bilinear").build(PLACEMENT)
    alive = torch.ones(2, dtype=torch.bool)
    oracle = Oracle(TracingState(game, (0, 1), (), alive, [], [], [(1, 2)]))
    assert oracle.turn(torch.tensor([8, 8]), of=2) == 1
    with pytest.raises(DescriptionError, match="same turns"):
        oracle.turn(torch.tensor([8, 8]), of=3)


@dataclass(frozen=True, kw_only=True)
class Patched(GDA):
    """A method whose step is replaced by a test."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Make a short step."""
        return z - 0.1 * oracle.field(z), state


@pytest.mark.usefixtures("traced")
def test_a_replaced_step_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is kept for the code that it was compiled from, not for equal objects."""

    def step(self: Any, oracle: Any, z: Any, state: Any) -> Any:
        return z - 0.2 * oracle.field(z), state

    run_cell(cell_of("bilinear", Patched()), COMPILED)
    monkeypatch.setattr(Patched, "step", step)
    cell = cell_of("bilinear", Patched())
    eager, other = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert other.backend == "compiled"
    must_match(eager, other)


@pytest.mark.parametrize("choice", ["nonzero", "mask"])
def test_a_choice_by_the_number_of_rows_is_not_traced(choice: str) -> None:
    """A trace would keep what the first runs did; the cell is computed eagerly."""

    @dataclass(frozen=True, kw_only=True)
    class Choosing(GDA):
        """Gradient steps, and others for the runs that are on one side."""

        def step(self, oracle: Oracle, z: Any, state: Any) -> tuple[Any, Any]:
            """Make one step of every run."""
            beyond = z[:, 0] < -0.5
            rows = beyond.nonzero()[:, 0] if choice == "nonzero" else z[beyond]
            moved = z - 0.1 * oracle.field(z)
            return (0.5 * moved if len(rows) else moved), state

    cell = replace(cell_of("bilinear", "gda", steps=30), algorithm=Choosing())
    eager, other = run_cell(cell, PLACEMENT), run_cell(cell, COMPILED)
    assert other.backend.endswith("a step does next depends on a number of a run")
    must_match(eager, other)


# ---- records within a call ----


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test replace the distance of a game."""
    monkeypatch.setattr(CodeGuard, "__init__", lambda self, *_: None)
    monkeypatch.setattr(CodeGuard, "check", lambda self: None)


def many_records(task: str, words: str, **options: Any) -> Cell:
    """Return a cell of some runs and records, with metrics of the iterate."""
    built = TASKS.build(task)
    settings: dict[str, Any] = {"steps": 90, "records": 20, "keep": "all"} | options
    return Cell(
        task=built,
        algorithm=ALGORITHMS.coerce(words),
        seeds=tuple(range(35)),
        metrics=metrics_for(built, [METRICS.build("losses")]),
        **settings,
    )


def must_be_same(one: Trajectory, other: Trajectory) -> None:
    """Check that trajectories are equal, bit by bit, but for their times."""
    assert (one.steps, one.status, one.reason) == (
        other.steps,
        other.status,
        other.reason,
    )
    assert one.stopped_at.tolist() == other.stopped_at.tolist()
    for name in ("counts", "columns", "arrays", "iterates"):
        found, expected = getattr(one, name), getattr(other, name)
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            assert found[key].tobytes() == values.tobytes(), key


def one_by_one(monkeypatch: pytest.MonkeyPatch, cell: Cell) -> Trajectory:
    """Compute a cell whose calls end at each record."""
    with monkeypatch.context() as patch:
        patch.setattr(block, "STOPPED_NUMBERS", 0)
        block.clear_blocks()
        trajectory = run_cell(cell, Placement(compiled=True))
    block.clear_blocks()
    return trajectory


TOGETHER = [
    ("bilinear", "gda"),
    ("bilinear[start_at=(1,1)]", "gda[step_size=4.0]"),  # all end
    ("quadratic", "gda[step_size=0.2]"),  # some end, at several steps
    ("dirac_gan", "gda[direction=adam]"),
    ("forsaken", "averaged[base=extragradient]"),
]


@pytest.mark.parametrize(("task", "words"), TOGETHER)
@pytest.mark.parametrize("steps", [30, 2**14])
def test_records_within_a_call_are_the_same(
    task: str, words: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are measured at once, with the bits of records that end a call."""
    together: list[bool] = []

    def noted(self: RunBatch, *arguments: Any) -> Any:
        found = measure_together(self, *arguments)
        together.append(bool(found))
        return found

    measure_together = RunBatch.measure_together
    monkeypatch.setattr(RunBatch, "measure_together", noted)
    monkeypatch.setattr(block, "LOOP_STEPS", steps)
    cell = many_records(task, words)
    found = run_cell(cell, Placement(compiled=True))
    assert found.backend == "compiled"
    assert together
    assert all(together)
    together.clear()
    must_be_same(found, one_by_one(monkeypatch, cell))
    assert not together


@pytest.mark.usefixtures("unguarded")
def test_records_are_measured_apart_where_bits_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A metric whose rounding depends on the number of rows is no harm."""
    cell = many_records("quadratic", "gda")
    expected = one_by_one(monkeypatch, cell)
    distance = PlaneGame.distance

    def rounded(self: PlaneGame, z: torch.Tensor, concept: str) -> torch.Tensor:
        factor = 1 + 1e-6 * (len(z) > TASKS.build("quadratic").width)
        return factor * distance(self, z, concept)

    monkeypatch.setattr(PlaneGame, "distance", rounded)
    must_be_same(run_cell(cell, Placement(compiled=True)), expected)


@pytest.mark.usefixtures("unguarded")
def test_a_metric_that_fails_ends_the_cell_at_its_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Records before it are kept, within a call as at its end."""
    distance = PlaneGame.distance

    def failing(self: PlaneGame, z: torch.Tensor, concept: str) -> torch.Tensor:
        if z.abs().max() > 50:
            raise ZeroDivisionError
        return distance(self, z, concept)

    monkeypatch.setattr(PlaneGame, "distance", failing)
    cell = many_records("quadratic", "gda[step_size=0.2]")
    found = run_cell(cell, Placement(compiled=True))
    assert 1 < len(found.steps) < len(cell.schedule)
    assert "ZeroDivisionError" in found.reason
    must_be_same(found, one_by_one(monkeypatch, cell))


@pytest.mark.parametrize("killed_at", [2, 3])
def test_a_cell_goes_on_between_two_calls(
    killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block, "LOOP_STEPS", 30)
    cell = many_records("quadratic", "gda[step_size=0.2]")
    slot = MemorySlot(raises_at=killed_at)
    with pytest.raises(Killed):
        run_cell(cell, Placement(compiled=True), slot=slot)
    slot.raises_at = -1
    found = run_cell(cell, Placement(compiled=True), slot=slot)
    must_be_same(found, run_cell(cell, Placement(compiled=True)))


def test_records_of_runs_with_step_sizes_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = many_records("quadratic", "gda")
    sizes = torch.linspace(0.01, 0.2, len(cell.seeds))[:, None]

    def recorded() -> Recording:
        block.clear_blocks()
        recording = Recording(cell, cell.seeds)
        given = cell, Placement(compiled=True), len(cell.seeds), recording, None
        with arithmetic():
            Chunk(*given, sizes=(sizes, sizes)).compute(lambda *_: None)
        return recording

    found = recorded()
    monkeypatch.setattr(block, "STOPPED_NUMBERS", 0)
    expected = recorded()
    assert len(set(expected.columns[-1]["distance"].tolist())) > 20
    assert found.status == expected.status
    for one, other in zip(found.columns, expected.columns, strict=True):
        assert one["distance"].tobytes() == other["distance"].tobytes()


def test_a_call_is_as_long_as_one_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where steps draw nothing, more are made in a call while they are short."""
    block.clear_blocks()
    task = TASKS.build("bilinear[dim=20]")
    made = block.compile_block(GDA(), task, PLACEMENT, 4, graphs=False)
    assert isinstance(made, block.Block)
    start, _, _ = made._step.examples(4)
    given = start.z, start.state, start.memory, start.alive
    assert made.length == block.ARRAY_STEPS
    made(*given, [], 0, 3)
    assert made.length > block.ARRAY_STEPS
    monkeypatch.setattr(block, "CALL_SECONDS", 0)
    made.through(*given, [2, 5], 0)
    assert made.length == block.ARRAY_STEPS

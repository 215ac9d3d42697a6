"""Cells: what does not fit is refused when one is made, with a sentence."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.algorithms.cgd import CGD
from mmbench.algorithms.gda import GDA
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.oracle import Oracle
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.metrics import METRICS
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS
from mmbench.testing import check_algorithm
from mmbench.testing.tools import PLACEMENT, FarStart


def cell_of(task: str, *metrics: str, **settings: Any) -> Cell:
    """Return a cell of GDA."""
    built = TASKS.build(task)
    return Cell(
        task=built,
        algorithm=ALGORITHMS.build("gda"),
        seeds=(0,),
        metrics=metrics_for(built, [METRICS.build(spec) for spec in metrics]),
        **settings,
    )


@pytest.mark.parametrize(
    ("runs", "settings", "rows"),
    [
        (250_000, {}, "250,000 runs of 41 records"),
        (250_001, {"steps": 39, "records": 10**6}, "250,001 runs of 40 records"),
        (11, {"steps": 10**9, "records": 10**6}, "11 runs of 1,000,001 records"),
        # With the powers of two before the first of the evenly spaced records.
        (10**6, {"steps": 2**53, "records": 9}, "1,000,000 runs of 60 records"),
    ],
)
def test_a_table_that_memory_cannot_hold_is_refused(
    runs: int, settings: dict[str, int], rows: str
) -> None:
    """Before any work, with what it would have."""
    with pytest.raises(DescriptionError, match=f"at most 10,000,000 rows.*{rows}"):
        replace(cell_of("bilinear", steps=40), seeds=tuple(range(runs)), **settings)


def test_the_largest_table_is_planned() -> None:
    """One row less than too many."""
    cell = replace(cell_of("bilinear", steps=39), seeds=tuple(range(250_000)))
    assert len(cell.seeds) * len(cell.schedule) == 10**7


@pytest.mark.parametrize("task", ["bilinear", "quadratic", "dirac_gan"])
@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_games_without_products_cannot_round_them(task: str, precision: str) -> None:
    """They would be computed exactly, and stored as if they were not."""
    with pytest.raises(MisfitError, match="precision must be exact on"):
        cell_of(task, precision=precision)
    assert cell_of("bilinear[dim=3]", precision=precision).precision == precision


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("cifar10[images=3]", "precision_recall[count=50]"),
        ("cifar10[images=1]", "frechet_distance[count=50]"),
        ("cifar10[images=1]", "kernel_distance[count=50]"),
        ("cifar10[images=19]", "frechet_infinity[count=50]"),
        ("digits01", "precision_recall[features=digitscnn,count=500,k=283]"),
        ("digits01", "precision_recall[features=digitscnn,count=500,split=test,k=77]"),
        ("cifar10[images=499]", "drift"),
        ("digits01", "drift"),
    ],
)
def test_metrics_that_need_more_real_images_are_refused(task: str, metric: str) -> None:
    """The message names what the metric needs and what the task has."""
    with pytest.raises(MisfitError, match=r"needs .* images.*; .* has \d+"):
        cell_of(task, metric)


def test_metrics_with_just_enough_real_images_are_planned() -> None:
    """One image more than the k-th neighbour suffices."""
    cell_of("cifar10[images=6]", "precision_recall[count=50]")
    cell_of("digits01", "precision_recall[features=digitscnn,count=500,k=282]")
    cell_of("digits01", "drift[images=283]")


# ---- capabilities ----


@dataclass(frozen=True, kw_only=True)
class Strict(Algorithm):
    """The steps of CGD, for zero-sum games only."""

    needs = frozenset({Capability.ZERO_SUM})
    cost = CGD().cost

    def init(self, oracle: Oracle, z: torch.Tensor) -> Any:
        """Return the state of CGD."""
        return CGD().init(oracle, z)

    def step(self, oracle: Oracle, z: torch.Tensor, state: Any) -> Any:
        """Make a step of CGD, after asking for a block of the Hessian of f."""
        oracle.linearise(z).xy(oracle.split(z)[1])
        return CGD().step(oracle, z, state)


@dataclass(frozen=True, kw_only=True)
class Wrapper(Algorithm):
    """An algorithm that makes the steps of another one.

    Args:
        base: the other one.
    """

    base: Algorithm = Strict()

    @property
    def cost(self) -> Cost:
        """The cost of the base."""
        return self.base.cost

    def init(self, oracle: Oracle, z: torch.Tensor) -> Any:
        """Return the state of the base, within its own."""
        return (self.base.init(oracle, z),)

    def step(self, oracle: Oracle, z: torch.Tensor, state: Any) -> Any:
        """Make a step of the base."""
        z, inner = self.base.step(oracle, z, *state)
        return z, (inner,)


@dataclass(frozen=True, kw_only=True)
class Hiding(Wrapper):
    """A wrapper that states needs of its own as a class variable."""

    needs = frozenset({Capability.SOLUTION})


@dataclass(frozen=True, kw_only=True)
class Secretive(Wrapper):
    """A wrapper whose base stands in no field, so that nobody can ask it."""

    base: Algorithm = GDA()

    def init(self, oracle: Oracle, z: torch.Tensor) -> Any:
        """Return the state of another base."""
        return (Strict().init(oracle, z),)

    def step(self, oracle: Oracle, z: torch.Tensor, state: Any) -> Any:
        """Make a step of another base."""
        z, inner = Strict().step(oracle, z, *state)
        return z, (inner,)


@dataclass(frozen=True, kw_only=True)
class Several(Wrapper):
    """A wrapper of several algorithms."""

    others: tuple[Algorithm, ...] = ()


GENERAL_SUM = "dirac_gan[loss=nonsaturating]"
SOLVED = frozenset({Capability.SOLUTION})
ZERO_SUM = frozenset({Capability.ZERO_SUM})


@pytest.mark.parametrize(
    ("wrapper", "needs"),
    [
        (Wrapper(), ZERO_SUM),
        (Wrapper(base=GDA()), frozenset()),
        (Wrapper(base=Wrapper()), ZERO_SUM),
        (Hiding(), ZERO_SUM | SOLVED),
        (Wrapper(base=Hiding(base=GDA())), SOLVED),
        (Several(base=GDA(), others=(GDA(), Hiding())), ZERO_SUM | SOLVED),
    ],
)
def test_a_wrapper_needs_what_its_fields_need(
    wrapper: Algorithm, needs: frozenset
) -> None:
    """The instance is asked: a class variable hides no need of a base."""
    assert needs_of(wrapper) == needs
    task = TASKS.build(GENERAL_SUM)
    options = {"task": task, "seeds": (0,), "metrics": metrics_for(task, [])}
    if Capability.ZERO_SUM in needs:
        with pytest.raises(MisfitError, match="needs a zero-sum game"):
            Cell(algorithm=wrapper, **options)
    else:
        Cell(algorithm=wrapper, **options)


def test_blocks_of_a_hessian_need_a_zero_sum_game() -> None:
    """A need that nobody can know ends the run with its sentence, not with numbers."""
    task = TASKS.build(GENERAL_SUM)
    cell = Cell(
        task=task, algorithm=Secretive(), seeds=(0,), metrics=metrics_for(task, [])
    )
    trajectory = run_cell(cell, PLACEMENT)
    assert trajectory.status == [Status.ERROR]
    assert "must be asked in a zero-sum game" in trajectory.reason


def test_wrappers_keep_the_contract_of_their_base() -> None:
    """Inner iterations are counted within the nested state."""
    check_algorithm(Wrapper(base=CGD()), [TASKS.build("bilinear[dim=3,smallest=0.5]")])


@dataclass(frozen=True, kw_only=True)
class Promising(FarStart):
    """A task that promises more than its base gives."""

    factor: float = 1.0

    @property
    def gives(self) -> frozenset[Capability]:
        """A zero-sum game, whatever the base is."""
        return self.task.gives | ZERO_SUM


def test_a_task_cannot_promise_a_zero_sum_game_that_it_does_not_build() -> None:
    """The game is asked when it is built."""
    task = Promising(task=TASKS.build(GENERAL_SUM), seed=0)
    cell = Cell(task=task, algorithm=CGD(), seeds=(0,), metrics=metrics_for(task, []))
    trajectory = run_cell(cell, PLACEMENT)
    assert trajectory.status == [Status.ERROR]
    assert "must build a zero-sum game" in trajectory.reason

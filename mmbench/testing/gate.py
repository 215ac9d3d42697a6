"""The gate: every check of one algorithm, task or metric, each with its figure."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from mmbench.algorithms import GDA
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.capability import Capability
from mmbench.core.errors import MisfitError
from mmbench.core.user_code import place_of
from mmbench.metrics.base import IterateMetric, Metric
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.algorithms import (
    check_cost,
    check_fixed_point,
    check_independence,
    check_replay,
    check_step,
    playable_tasks,
)
from mmbench.testing.descriptions import check_description
from mmbench.testing.metrics import check_metric, check_repetition
from mmbench.testing.tasks import check_field, check_losses, check_task
from mmbench.testing.theory import TOLERANCE, compare_with_theory
from mmbench.testing.tools import require

# Specs of tasks on which metrics are checked; the first that fits is taken.
METRIC_TASKS = (
    "bilinear",
    "quadratic",
    "four_gaussians[hidden=8,noise=4,batch=16]",
    "digits01[hidden=8,batch=16]",
)
# Specs that stand for names when all are checked. Few inner iterations suffice to see
# that each is counted; the defaults take minutes.
SHORT_SPECS = {
    "accept_reject_search": "accept_reject_search[ascents=5]",
    "follow_the_ridge": "follow_the_ridge[iterations=4]",
    "proximal_point": "proximal_point[iterations=2]",
    "stackelberg": "stackelberg[iterations=4]",
}
# What a task is measured by when its own metrics need many images.
FEW_IMAGES = ("losses[minibatches=1]",)

Result = Literal["passed", "failed", "not checked"]
# Returns the figure of a check, and what it is of.
Check = Callable[[], tuple[float, str]]


class Finding(NamedTuple):
    """What one check found.

    Args:
        check: name of the check.
        result: how it ended.
        figure: its number; NaN where there is none.
        details: what the figure is of, or one sentence about what does not hold.
    """

    check: str
    result: Result
    figure: float
    details: str


def run_gate(member: Algorithm | Task | Metric) -> Iterator[Finding]:
    """Yield what each check of an algorithm, task or metric finds, as it ends.

    Args:
        member: description to check; the data files of a task must be present.
    """
    if isinstance(member, Algorithm):
        yield from _check_algorithm(member)
    elif isinstance(member, Task):
        yield from _check_task(member)
    else:
        yield from _check_metric(member)


def _check_algorithm(algorithm: Algorithm) -> Iterator[Finding]:
    tasks: list[Task] = []

    def contract() -> tuple[float, str]:
        check_description(algorithm)
        tasks.extend(playable_tasks(algorithm))
        for task in tasks:
            check_step(algorithm, task)
            check_fixed_point(algorithm, task)
        return len(tasks), "small games"

    def on_each(
        check: Callable[[Algorithm, Task], None], details: str
    ) -> Callable[[], tuple[float, str]]:
        def check_all() -> tuple[float, str]:
            for task in tasks:
                check(algorithm, task)
            return len(tasks), details

        return check_all

    def cost() -> tuple[float, str]:
        on_each(check_cost, "")()
        words = "gradient-equivalents a step"
        return algorithm.cost.gradient_equivalents, words

    def theory() -> tuple[float, str] | None:
        found = compare_with_theory(algorithm)
        if found is None:
            return None
        wrong = f"{found.error:.1e} at {found.worst}"
        require(
            found.error <= TOLERANCE,
            f"{algorithm} must have the spectral radii of its theory to {TOLERANCE:g}; "
            f"the largest relative error is {wrong}",
        )
        case = f", {found.words}" if found.words else ""
        return found.error, f"relative error of {found.radii} radii{case}"

    yield _run("contract", contract)
    if not tasks:
        return
    yield _run("counted = declared", cost)
    yield _run("neighbours ignored", on_each(check_independence, "games, bit by bit"))
    yield _run("replay equal", on_each(check_replay, "games, bit by bit"))
    yield _run("theory", theory)


def _check_task(task: Task) -> Iterator[Finding]:
    of_images = {Capability.IMAGES, Capability.DIGITS} & task.gives
    metrics: Sequence[str] = FEW_IMAGES if of_images and not task.target else ()

    def contract() -> tuple[float, str]:
        check_task(task, metrics)
        return 10, "steps of GDA at the end"

    def gradients() -> tuple[float, str]:
        return check_field(task), "relative error"

    def neighbours() -> tuple[float, str]:
        check_losses(task)
        return 0, "runs whose loss moved"

    def replay() -> tuple[float, str]:
        check_replay(GDA(step_size=0.001), task, steps=4)
        return 4, "steps of GDA, bit by bit"

    yield _run("contract", contract)
    yield _run("gradients", gradients)
    yield _run("neighbours ignored", neighbours)
    yield _run("replay equal", replay)


def _check_metric(metric: Metric) -> Iterator[Finding]:
    tasks = [TASKS.build(spec) for spec in METRIC_TASKS]
    fitting = [task for task in tasks if needs_of(metric) <= task.gives]

    if not fitting:
        named = ", ".join(METRIC_TASKS)
        sentence = f"it fits none of the small games {named}"
        yield Finding("contract", "not checked", math.nan, sentence)
        return

    def contract() -> tuple[float, str]:
        check_metric(metric, fitting[0])
        count = len(metric.columns)
        return count, f"column{'s' * (count != 1)}, permuted as the runs are"

    def replay() -> tuple[float, str]:
        assert isinstance(metric, IterateMetric)
        check_repetition(metric, fitting[0])
        return 2, "measurements, bit by bit"

    yield _run("contract", contract)
    if isinstance(metric, IterateMetric):
        yield _run("replay equal", replay)


def _run(name: str, check: Callable[[], tuple[float, str] | None]) -> Finding:
    """Run a check and return what it found; an exception of any kind is a failure."""
    try:
        found = check()
    except AssertionError as error:
        return Finding(name, "failed", math.nan, str(error))
    except MisfitError as error:  # it needs more than the small games have
        return Finding(name, "not checked", math.nan, str(error))
    except (Exception, SystemExit) as error:  # an external class may raise both
        place = place_of(error)
        sentence = f"{place or 'it'} raised {type(error).__name__}: {error}"
        return Finding(name, "failed", math.nan, sentence)
    if found is None:
        return Finding(name, "not checked", math.nan, "no prediction is registered")
    return Finding(name, "passed", *found)

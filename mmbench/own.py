"""Tasks of what a user has: a function, tensors, modules and data."""

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch

from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError
from mmbench.core.made import make
from mmbench.core.placement import Placement
from mmbench.core.printable import shorten
from mmbench.metrics import METRICS
from mmbench.metrics._function_metric import FunctionMetric, numbers_of
from mmbench.metrics.base import Column, Metric
from mmbench.tasks._own import OwnGame, OwnTask, Recipe, widths
from mmbench.tasks._own_data import source_of
from mmbench.tasks._own_players import player_of
from mmbench.tasks.base import Target, Task

SAMPLES = 1000  # generated samples that a metric of a function is given


def game(
    f: Callable[..., Any],
    dim_x: int | None = None,
    dim_y: int | None = None,
    *,
    x: Any = None,
    y: Any = None,
    data: Any = None,
    batch: int | None = None,
    spread: float | None = None,
    solution: tuple[Any, Any] | None = None,
    project: Callable[[Any, Any], Any] | None = None,
    metrics: Iterable[Any] = (),
    target: Any = None,
    width: int = 0,
    name: str | None = None,
) -> Task:
    """Return the task of a function of two players, to be run like any other.

        bowl = mmbench.game(lambda x, y: x @ x + x @ y - y @ y, dim_x=3, dim_y=3)
        mmbench.run([bowl], ["gda", "extragradient"])

    The function is written for one run in ordinary torch. Random numbers that it draws
    by torch, as those of dropout, are part of the minibatch and come from the run's own
    stream. Buffers that it changes, as the statistics of batch normalisation, belong to
    the run; they go on by one evaluation after each step.

    Its key covers the code, first values and data. For other processes, such as workers
    and `mmbench replay`, a variable at the top level of a file must hold the task, as
    in `mmbench run mine.py:bowl gda`.

    Args:
        f: (x, y) -> f, a tensor of one number that x minimises and y maximises; or two
            of them, the loss of x and that of y. With data it is called as
            f(x, y, batch).
        dim_x: length of x, where x is a vector that starts at normal numbers.
        dim_y: length of y.
        x: first values of x, where no length is given: a tensor, a dict of tensors or a
            module, which f is given with the run's parameters in it; or a function or
            class that makes one for each run, whose random numbers follow the seed.
        y: first values of y.
        data: points that minibatches are drawn from, with replacement: a tensor, tuple
            of tensors, `Dataset` or `DataLoader`. Data sets are read once, so that
            random transformations are frozen; of a loader only the data set and batch
            size are used. Or a function (generator, count) -> points.
        batch: points in a minibatch; 0 for all data at each step; None for the batch
            size of a loader.
        spread: deviation of the normal noise that is added to where runs start; None is
            1 for players of a given length and 0 for others.
        solution: x and y at the solution, for the distance to it.
        project: (x, y) -> the nearest allowed (x, y), of one run; the parameters of a
            module are a dict.
        metrics: specs, metrics, or functions (x, y) -> number or dict of numbers, which
            are given modules in evaluation mode; (function, "lower") says which
            direction is better.
        target: what a run must reach: ("distance", 1e-3) for a column with an upper
            bound, or a `Target`.
        width: runs computed side by side; 0 for a rule from the players.
        name: name in tables; None takes that of the function.

    Raises:
        DescriptionError: when the function fails at the first values, or an argument
            does not fit.
    """
    sources = () if data is None else (source_of(data, batch),)
    recipe = Recipe(
        function=f,
        x=player_of("x", dim_x, x, spread),
        y=player_of("y", dim_y, y, spread),
        sources=sources,
        project=project,
        solution=solution,
    )
    chosen = name if name is not None else _name_of(f, "game")
    return _task(OwnTask, chosen, f.__doc__, recipe, metrics, target, width)


def _name_of(function: Any, default: str) -> str:
    """Return the name of a function; the default for one without a name."""
    name = str(getattr(function, "__name__", default))
    return name if name.isidentifier() else default


def _task(
    base: type[OwnTask],
    name: str,
    doc: str | None,
    recipe: Recipe,
    metrics: Iterable[Any],
    target: Any,
    width: int,
    **attributes: Any,
) -> OwnTask:
    """Return a task of a new class, after a first call of its function."""
    module = sys._getframe(2).f_globals["__name__"]  # noqa: SLF001  # who calls us
    built = _first_game(base, recipe, name)
    attributes |= {
        "recipe": recipe,
        "own_width": width,
        "own_target": _target(target),
        "one_by_one": built.one_by_one,
        "is_zero_sum": built.zero_sum,
        "is_plane": (built.dim_x, built.dim_y) == (1, 1),
    }
    described = [_metric(one, built, module) for one in metrics]
    attributes["own_metrics"] = tuple(described)
    attributes["parts"] = tuple(
        one for one in described if isinstance(one, FunctionMetric)
    )
    return make(base, name, module, doc or "A game of a user's function.", **attributes)


def _first_game(base: type[OwnTask], recipe: Recipe, name: str) -> OwnGame:
    """Build the game once, in single precision or, where that fails, in double."""
    width, _ = widths(recipe)
    try:
        return base.game_class(recipe, Placement(), name, width)
    except DescriptionError:
        try:
            return base.game_class(recipe, Placement(dtype=torch.float64), name, width)
        except DescriptionError:
            pass
        raise


def _target(given: Any) -> Target | None:
    """Return the target that a user's argument stands for."""
    if given is None or isinstance(given, Target):
        return given
    try:
        column, bound = given
        return Target(str(column), at_most=((str(column), float(bound)),))
    except (TypeError, ValueError):
        raise DescriptionError(
            'target must be a column with its upper bound, as in ("distance", 1e-3), '
            f"or a mmbench.Target; got {shorten(given)}."
        ) from None


def _metric(given: Any, game: OwnGame, module: str) -> str | Description:
    """Return a metric, that of a function included."""
    better = "neither"
    if isinstance(given, tuple) and len(given) == 2:
        given, better = given
    if isinstance(given, str | Metric):
        METRICS.coerce(given)
        return given
    if not callable(given):
        raise DescriptionError(
            "metrics must be specs, metrics or functions of the players; got "
            f"{shorten(given)}."
        )
    name = _name_of(given, "metric")
    takes_samples = len(inspect.signature(given).parameters) > 2
    z = game.start(torch.Generator().manual_seed(0))[None].to(game.device)
    samples = (game.generate(z, SAMPLES, (0,)),) if takes_samples else ()
    (returned,) = game.evaluate(z, (0,), given, *samples)
    columns = tuple(
        Column(column, column.replace("_", " "), better)  # type: ignore[arg-type]
        for column in numbers_of(name, returned)
    )
    return make(
        FunctionMetric,
        name,
        module,
        given.__doc__ or "A metric of a user's function.",
        function=staticmethod(given),
        own_columns=columns,
        samples=SAMPLES if takes_samples else 0,
    )

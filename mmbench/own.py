"""Tasks of what a user has: a function, tensors, modules and data."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader

from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError
from mmbench.core.made import calling_module, make
from mmbench.core.placement import Placement
from mmbench.core.printable import shorten
from mmbench.metrics import METRICS
from mmbench.metrics._function_metric import FunctionMetric, numbers_of
from mmbench.metrics.base import Column, Metric
from mmbench.tasks import LOSSES
from mmbench.tasks._gan_losses import NAMED, Loss
from mmbench.tasks._own import OwnGame, OwnTask, Recipe, widths
from mmbench.tasks._own_data import Points, Source, source_of
from mmbench.tasks._own_gan import Normal, OwnGAN, OwnGANTask, named_loss
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


def torch_task(
    G: Any,  # as papers write it
    D: Any,
    *,
    data: Any,
    noise: Any,
    batch: int | None = None,
    loss: Any = "saturating",
    metrics: Iterable[Any] = (),
    target: Any = None,
    sampler: Callable[[Any, Any], torch.Tensor] | None = None,
    modes: tuple[Any, float] | None = None,
    dataset: str = "",
    width: int = 0,
    name: str = "gan",
) -> Task:
    """Return the task of a GAN of two modules, to be run like any other.

        gan = mmbench.torch_task(Generator, Discriminator, data=images, noise=64)

    See `mmbench.game` for first values, random numbers, buffers and keys.

    Args:
        G: generator: a module, or a class or function that makes one for each run.
        D: discriminator, likewise.
        data: real points, as `mmbench.game` takes data; bytes are scaled to -1 to 1.
        noise: length or shape of the generator's normal noise, or a function
            (generator, count) -> noise; of a tuple, each entry is an argument of G.
        batch: real points in a minibatch, and as many of noise; None for the batch size
            of a loader, else 64.
        loss: name of a loss of mmbench, as "nonsaturating" or "hinge", or a function
            (G, D, real, noise) -> f, or (loss of G, loss of D). A named loss reads the
            first tensor of the data alone.
        metrics: as `mmbench.game` takes them; functions (G, D), or (G, D, samples).
        target: as `mmbench.game` takes it.
        sampler: (G, noise) -> samples, where that is not G(noise).
        modes: means and deviation of the modes of the data, for metrics of modes.
        dataset: name of the data set, by which image metrics choose a classifier.
        width: runs computed side by side; 0 for a rule from the modules.
        name: name in tables.

    Raises:
        DescriptionError: when the modules fail on data and noise, or an argument does
            not fit.
    """
    if batch is None and not isinstance(data, DataLoader):
        batch = 64
    real = source_of(data, batch)
    points = real.points
    if points is not None and points.tensors[0].dtype == torch.uint8:
        scaled = points.tensors[0].float() / 127.5 - 1
        real = real._replace(points=Points((scaled, *points.tensors[1:])))
    count = real.batch or len(points or ())
    if isinstance(loss, str) and loss not in NAMED:
        loss = LOSSES.build(loss)
    function: Any = named_loss(loss) if isinstance(loss, str | Loss) else loss
    shape = (noise,) if isinstance(noise, int) else noise
    draw: Any = noise if callable(noise) else Normal(tuple(shape))
    means = None if modes is None else torch.as_tensor(modes[0], dtype=torch.float32)
    recipe = Recipe(
        function=function,
        x=player_of("G", None, G, None),
        y=player_of("D", None, D, None),
        sources=(real, Source(None, draw, count)),
        sampler=sampler,
        modes=None if modes is None or means is None else (means, float(modes[1])),
        dataset=dataset,
    )
    doc = getattr(function, "__doc__", None) if callable(loss) else None
    return _task(OwnGANTask, name, doc, recipe, metrics, target, width)


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
) -> OwnTask:
    """Return a task of a new class, after a first call of its function."""
    module = calling_module()
    built = _first_game(base, recipe, name)
    attributes: dict[str, Any] = {
        "recipe": recipe,
        "own_width": width,
        "own_target": _target(target),
        "one_by_one": built.one_by_one,
        "is_zero_sum": built.zero_sum,
        "is_plane": (built.dim_x, built.dim_y) == (1, 1),
    }
    if isinstance(built, OwnGAN):
        attributes["images"] = built.image_shape
        attributes["has_logit"] = _has_logit(built)
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


def _has_logit(game: OwnGAN) -> bool:
    """Return whether the discriminator gives one number for each point."""
    random = torch.Generator().manual_seed(0)
    z = game.start(random)[None].to(game.device)
    points = game.draw_real(random, 1)
    try:
        return bool(game.logits(z, points).numel())
    except Exception:  # it may need more than points
        return False


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

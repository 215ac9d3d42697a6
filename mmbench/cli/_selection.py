"""Selection of the cells that a verb works on: a suite or an ad-hoc grid.

Every verb has the same options for it, which come from the fields of `Grid`.
"""

import functools
import math
import shlex
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import Field, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmbench.algorithms import ALGORITHMS
from mmbench.cli._numbers import Folder, Whole
from mmbench.cli._registries import external_among
from mmbench.core.description import field_types
from mmbench.core.domains import Domain
from mmbench.core.errors import DescriptionError, MmbenchError, unknown_name
from mmbench.core.user_code import place_of
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite, grid_fields
from mmbench.suites.toml import load_suite
from mmbench.tasks import TASKS

if TYPE_CHECKING:  # it imports torch
    import mmbench.engine.cell

DEFAULT_STORE = Path("mmbench-results")

SETTINGS = {one.name: one for one in grid_fields() if one.metadata.get("option")}
_AXES = {"tasks": "-t", "algorithms": "-a", "metrics": "-m"}
_NEEDED = {"-t": "-t TASK", "-a": "-a ALGORITHM"}
# Names of all parameters that make a selection, as click has them.
PARAMETERS = ("suite", *_AXES, *SETTINGS)


@dataclass(frozen=True)
class Selection:
    """The suite or grid that was chosen on the command line.

    Args:
        name: name of a built-in suite, or path to a suite.toml.
        axes: specs of the tasks, algorithms and metrics of an ad-hoc grid.
        changes: settings that replace those of every grid.
    """

    name: str | None
    axes: dict[str, tuple[str, ...]]
    changes: dict[str, Any]

    def __bool__(self) -> bool:
        return bool(self.name or any(self.axes.values()) or self.changes)

    @functools.cached_property
    def suite(self) -> Suite:
        """The chosen suite, or the grid as a suite.

        Raises:
            MmbenchError: one sentence about what is wrong.
        """
        changes = self._changes()
        given = [flag for axis, flag in _AXES.items() if self.axes[axis]]
        if self.name and given:
            raise _error_of_suite_and_axes(self.name, given)
        if self.name:
            suite = named_suite(self.name)
            grids = tuple(grid.with_settings(changes) for grid in suite.grids)
            return replace(suite, grids=grids)
        missing = [flag for flag in _NEEDED if flag not in given]
        if missing == list(_NEEDED):
            raise DescriptionError(
                "A suite must be named, or a grid given by -t TASK and -a ALGORITHM; "
                f"got neither. Known suites: {', '.join(SUITES)}."
            )
        if missing:
            raise DescriptionError(
                f"A grid must have {' and '.join(_NEEDED.values())}; "
                f"{' and '.join(map(_NEEDED.__getitem__, missing))} is missing."
            )
        fields: dict[str, Any] = {**self.axes, **changes}
        return Suite(name="grid", grids=(Grid(**fields),))

    def _changes(self) -> dict[str, Any]:
        """Return the settings that replace those of every grid.

        Steps take the place of a suite's budget.

        Raises:
            DescriptionError: when steps and a budget are given.
        """
        budget, steps = self.changes.get("budget"), self.changes.get("steps")
        if budget == 0:
            raise DescriptionError(
                "--budget must be at least 1; got 0. Leave it out, or give --steps."
            )
        if steps is None:
            return self.changes
        if budget:
            raise DescriptionError(
                f"One of --steps and --budget must be given, not both; got {steps} and "
                f"{budget}."
            )
        return {**self.changes, "budget": 0, "unit": "gradient-equivalents"}

    @functools.cached_property
    def cells(self) -> "tuple[mmbench.engine.cell.Cell, ...]":
        """The cells of the suite.

        Raises:
            MmbenchError: one sentence about what is wrong.
        """
        from mmbench.runner.plan import plan

        if any(":" in spec and ".py:" not in spec for spec in self._specs()):
            # Modules are found in the current folder, as with `python -m`.
            sys.path.insert(0, str(Path.cwd()))
        with self.explain_external_errors():
            cells = plan(self.suite)
            for cell in cells:  # properties that may raise do so before any work
                task, method = cell.task, cell.algorithm
                _ = cell.key, str(method.cost), method.source, task.source
                _ = task.width, task.limit, str(task.target)
        return cells

    @contextmanager
    def explain_external_errors(self) -> Iterator[None]:
        """Turn exceptions of the selection's external classes into one sentence.

        Raises:
            DescriptionError: in place of an exception that is not mmbench's own, when
                the selection has an external class.
        """
        with explain_external_errors(lambda: external_among(self._specs())):
            yield

    def _specs(self) -> list[str]:
        """Return the specs of the suite's tasks, algorithms and metrics."""
        return [
            str(spec)
            for grid in self.suite.grids
            for spec in (*grid.tasks, *grid.algorithms, *grid.metrics)
        ]

    def __str__(self) -> str:
        """Return the arguments of the command line that make this selection."""
        words = [self.name] if self.name else []
        for axis, flag in _AXES.items():
            words += [word for spec in self.axes[axis] for word in (flag, spec)]
        for name, value in self.changes.items():
            is_switch = isinstance(value, bool)
            words += (
                [_switch(name, on=value)] if is_switch else [_flag(name), str(value)]
            )
        return shlex.join(words)


@contextmanager
def explain_external_errors(names: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Turn exceptions of external classes into one sentence.

    Args:
        names: returns the names of the external classes that take part; called when an
            exception was raised.

    Raises:
        DescriptionError: in place of an exception that is not mmbench's own, when an
            external class takes part.
    """
    try:
        yield
    except MmbenchError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        external = names()
        if not external:
            raise
        place = place_of(error)
        who = f"{place}," if place else "it"
        raise DescriptionError(
            f"{' and '.join(external)} must be usable; {who} raised "
            f"{type(error).__name__}: {error}."
        ) from error


def named_suite(name: str) -> Suite:
    """Return a built-in suite by name, or the suite in a .toml file.

    Raises:
        MmbenchError: when there is no such suite, or its file is invalid.
    """
    if name in SUITES:
        return SUITES[name]
    if name.endswith(".toml"):
        return load_suite(Path(name))
    must = f"SUITE must be one of {', '.join(SUITES)} or a path to a .toml file"
    if found := _flag_of(name):
        kind, flag = found
        raise DescriptionError(
            f"{must}; {name.partition('[')[0]!r} is one of the {kind}s, which {flag} "
            "takes."
        )
    if name.partition(":")[0].endswith(".py"):
        raise DescriptionError(
            f"{must}; got {name!r}, a Python file, whose classes -t, -a and -m take."
        )
    raise unknown_name("suite", name, [*SUITES, "path/to/suite.toml"])


def _flag_of(name: str) -> tuple[str, str] | None:
    """Return the kind of member that a spec names, and the option that takes it."""
    bare = name.partition("[")[0]
    for registry, flag in ((TASKS, "-t"), (ALGORITHMS, "-a"), (METRICS, "-m")):
        if bare in registry:
            return registry.kind, flag
    return None


def _error_of_suite_and_axes(name: str, given: Sequence[str]) -> DescriptionError:
    """Return the error of a word that stands where SUITE does, beside -t, -a or -m."""
    if name in SUITES or name.endswith(".toml"):
        return DescriptionError(
            f"{' and '.join(given)} must not be given with a suite, which has its "
            f"own tasks, algorithms and metrics; got the suite {name!r}."
        )
    flag = (_flag_of(name) or ("", given[-1]))[1]
    return DescriptionError(
        "Each task, algorithm and metric must follow an option of its own, in quotes "
        f"where it has spaces; got {name!r} without one. Write "
        f"{shlex.join([flag, name])}."
    )


# ---- options ----


def selection_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the argument SUITE and the options of a grid, as `selection`."""

    @click.argument("suite", required=False)
    @click.option(
        "-t",
        "--task",
        "tasks",
        metavar="TASK",
        multiple=True,
        help="Task of the grid; repeatable.",
    )
    @click.option(
        "-a",
        "--algorithm",
        "algorithms",
        metavar="ALGORITHM",
        multiple=True,
        help="Algorithm of the grid; repeatable.",
    )
    @click.option(
        "-m",
        "--metric",
        "metrics",
        metavar="METRIC",
        multiple=True,
        help="Metric of the grid; repeatable.  [default: those of each task]",
    )
    @_setting_options
    @functools.wraps(verb)
    def with_selection(
        *,
        suite: str | None,
        tasks: tuple[str, ...],
        algorithms: tuple[str, ...],
        metrics: tuple[str, ...],
        **others: Any,
    ) -> None:
        given = {name: others.pop(name) for name in SETTINGS}
        selection = Selection(
            suite,
            {"tasks": tasks, "algorithms": algorithms, "metrics": metrics},
            {name: value for name, value in given.items() if value is not None},
        )
        verb(selection=selection, **others)

    return with_selection


def _setting_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb an option for each setting of a grid."""
    for setting in reversed(SETTINGS.values()):
        verb = _setting_option(setting)(verb)
    return verb


def _setting_option(setting: Field) -> Callable[..., Any]:
    """Return the option of a setting, with its help, its values and its default."""
    kind = _option_type(field_types(Grid)[setting.name])
    name = setting.name
    both = f"{_switch(name, on=True)}/{_switch(name, on=False)}"
    return click.option(
        both if kind is bool else _flag(name),
        type=kind,
        default=None,
        metavar="N" if isinstance(kind, click.IntRange) else None,
        help=f"{setting.metadata['meaning']}  [default: {setting.default}, or the "
        "suite's]",
    )


def _option_type(annotation: Any) -> click.ParamType | None:
    """Return the values that a field of this annotation takes, as click checks them."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return click.Choice(arguments)
    for domain in arguments:
        if isinstance(domain, Domain) and arguments[0] is int:
            # The description checks the upper bound and explains it better.
            return Whole(None if math.isinf(domain.low) else int(domain.low))
    return arguments[0] if arguments else annotation


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _switch(name: str, *, on: bool) -> str:
    return _flag(name if on else f"no_{name}")


def format_store_option(store: Path) -> str:
    """Return ` --store DIR` as a shell reads it, or nothing for the default folder."""
    return "" if store == DEFAULT_STORE else f" --store {shlex.quote(str(store))}"


store_option = click.option(
    "--store",
    type=Folder(),
    default=DEFAULT_STORE,
    show_default=True,
    help="Folder of the results.",
)

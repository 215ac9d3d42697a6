"""Which cells a verb is about: a suite or an ad-hoc grid, the same words everywhere."""

import functools
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import DescriptionError, MmbenchError, unknown_name
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite
from mmbench.suites.toml import load_suite
from mmbench.tasks import TASKS

if TYPE_CHECKING:  # plan imports torch
    import mmbench.runner.plan

DEFAULT_STORE = Path("mmbench-results")

_CHANGES = (
    "seeds",
    "first_seed",
    "steps",
    "records",
    "dtype",
    "precision",
    "keep",
)
_AXES = {"tasks": "-t", "algorithms": "-a", "metrics": "-m"}
PARAMETERS = ("suite", *_AXES, *_CHANGES)  # that make a selection, as click names them


@dataclass(frozen=True)
class Selection:
    """What was chosen on the command line.

    Args:
        name: of a built-in suite, or a path to a suite.toml.
        axes: words of tasks, algorithms and metrics of an ad-hoc grid.
        changes: fields of every grid that are to be other than they are.
    """

    name: str | None
    axes: dict[str, tuple[str, ...]]
    changes: dict[str, Any]

    def __bool__(self) -> bool:
        return bool(self.name or any(self.axes.values()) or self.changes)

    @functools.cached_property
    def suite(self) -> Suite:
        """The suite chosen, or the grid as a suite.

        Raises:
            MmbenchError: one sentence about what is wrong.
        """
        given = [flag for axis, flag in _AXES.items() if self.axes[axis]]
        if self.name and given:
            raise DescriptionError(
                f"{' and '.join(given)} must be left out beside a suite, which says "
                f"itself what is compared; got the suite {self.name!r}."
            )
        if self.name:
            suite = named_suite(self.name)
            grids = tuple(replace(grid, **self.changes) for grid in suite.grids)
            return replace(suite, grids=grids)
        missing = [flag for flag in ("-t", "-a") if flag not in given]
        if missing:
            raise DescriptionError(
                "A suite, or -t TASK and -a ALGORITHM, must be given; "
                f"{' and '.join(missing)} is missing. Known suites: "
                f"{', '.join(SUITES)}."
            )
        return Suite(name="grid", grids=(Grid(**self.axes, **self.changes),))

    @functools.cached_property
    def cells(self) -> "tuple[mmbench.engine.cell.Cell, ...]":
        """The cells of the suite.

        Raises:
            MmbenchError: one sentence about what is wrong.
        """
        from mmbench.runner.plan import plan

        if any(".py:" not in one for one in self._outsiders()):
            # As `python -m` does: modules are found in the folder one stands in.
            sys.path.insert(0, str(Path.cwd()))
        with self.blaming_outsiders():
            cells = plan(self.suite)
            for cell in cells:  # what else is asked of a description, while it is early
                task, method = cell.task, cell.algorithm
                _ = cell.key, str(method.cost), method.source, task.source
                _ = task.width, task.limit, str(task.target)
        return cells

    @contextmanager
    def blaming_outsiders(self) -> Iterator[None]:
        """Turn what a class from outside raises into a sentence.

        Raises:
            DescriptionError: when something that mmbench did not mean to raise was
                raised, and a class from outside takes part.
        """
        with blaming(self._outsiders):
            yield

    def _outsiders(self) -> list[str]:
        words = [
            one
            for grid in self.suite.grids
            for one in (*grid.tasks, *grid.algorithms, *grid.metrics)
        ]
        return [str(one) for one in words if ":" in str(one)]

    def __str__(self) -> str:
        """The words of the command line that make this selection."""
        words = [self.name] if self.name else []
        for axis, flag in _AXES.items():
            words += [word for one in self.axes[axis] for word in (flag, one)]
        for field, value in self.changes.items():
            words += [f"--{field.replace('_', '-')}", str(value)]
        return shlex.join(words)


@contextmanager
def blaming(outsiders: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Turn what classes from outside raise into a sentence.

    Args:
        outsiders: gives their names; asked when something was raised.

    Raises:
        DescriptionError: when it was nothing that mmbench meant to raise, and a class
            from outside takes part.
    """
    try:
        yield
    except MmbenchError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        names = outsiders()
        if not names:
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise DescriptionError(
            f"{' and '.join(names)} must be usable; {Path(at.filename).name}, line "
            f"{at.lineno}, raised {type(error).__name__}: {error}."
        ) from error


def named_suite(name: str) -> Suite:
    """A built-in suite, or one from a file.

    Raises:
        MmbenchError: when there is none, or the file is at fault.
    """
    if name in SUITES:
        return SUITES[name]
    if name.endswith(".toml"):
        return load_suite(Path(name))
    bare = name.partition("[")[0]
    for registry, flag in ((TASKS, "-t"), (ALGORITHMS, "-a")):
        if bare in registry:
            raise DescriptionError(
                f"SUITE must be one of {', '.join(SUITES)} or a path to a .toml file; "
                f"{bare!r} is one of the {registry.kind}s, which {flag} takes."
            )
    raise unknown_name("suite", name, [*SUITES, "path/to/suite.toml"])


def elsewhere(store: Path) -> str:
    """` --store DIR` as a shell takes it; nothing for the usual folder."""
    return "" if store == DEFAULT_STORE else f" --store {shlex.quote(str(store))}"


def selecting(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the argument SUITE and the options of a grid, as `selection`."""

    @click.argument("suite", required=False)
    @click.option(
        "-t", "--task", "tasks", metavar="TASK", multiple=True, help="Repeatable."
    )
    @click.option(
        "-a",
        "--algorithm",
        "algorithms",
        metavar="ALGORITHM",
        multiple=True,
        help="Repeatable.",
    )
    @click.option(
        "-m",
        "--metric",
        "metrics",
        metavar="METRIC",
        multiple=True,
        help="Repeatable; otherwise each task measures its own.",
    )
    @_changing("seeds", click.IntRange(1), "Runs of each cell.")
    @_changing("first_seed", click.IntRange(0), "The least seed.")
    @_changing("steps", click.IntRange(1), "Steps of each run.")
    @_changing("records", click.IntRange(1), "Evenly spaced records of each run.")
    @_changing("dtype", click.Choice(["float32", "float64"]), "Of all floats.")
    @_changing(
        "precision",
        click.Choice(["exact", "tf32", "bf16"]),
        "Of products within a step.",
    )
    @_changing(
        "keep",
        click.Choice(["none", "last", "all"]),
        "Iterates kept, to measure more of them later.",
    )
    @functools.wraps(verb)
    def taking(
        *,
        suite: str | None,
        tasks: tuple[str, ...],
        algorithms: tuple[str, ...],
        metrics: tuple[str, ...],
        **others: Any,
    ) -> None:
        changes = {field: others.pop(field) for field in _CHANGES}
        selection = Selection(
            suite,
            {"tasks": tasks, "algorithms": algorithms, "metrics": metrics},
            {field: value for field, value in changes.items() if value is not None},
        )
        verb(selection=selection, **others)

    return taking


def _changing(field: str, kind: click.ParamType, meaning: str) -> Callable:
    """An option that sets a field of every grid."""
    return click.option(
        f"--{field.replace('_', '-')}",
        type=kind,
        metavar="N" if isinstance(kind, click.IntRange) else None,
        help=f"{meaning}  [default: {getattr(Grid, field)}, or the suite's]",
    )


storing = click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Folder of the results.",
)

"""Numbers and paths on the command line, and what is said of other words."""

import math
from pathlib import Path
from typing import Any

import click


class Whole(click.IntRange):
    """A whole number of at least some bound, and perhaps of at most another."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            bound = "" if self.min is None else f" of at least {self.min}"
            bound = bound if self.max is None else f" from {self.min} to {self.max}"
            self.fail(
                f"must be a whole number{bound}; got {self._got(value)}", param, ctx
            )

    def _got(self, value: Any) -> str:
        """Return a word as a message shows it, with the whole number that it means."""
        try:
            number = float(value)
        except ValueError:
            return f"{value!r}."
        meant = f"{number:.0f}" if number.is_integer() else ""
        low = 0 if self.min is None else self.min
        is_allowed = low <= number <= (math.inf if self.max is None else self.max)
        if meant and is_allowed and meant != str(value).strip():
            return f"{value!r}. Write {meant}."
        return f"{value!r}."


class Number(click.FloatRange):
    """A finite number above 0.

    Args:
        unit: what it counts.
    """

    def __init__(self, unit: str) -> None:
        super().__init__(0, min_open=True)
        self._unit = unit

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            number = float(super().convert(value, param, ctx))
        except click.BadParameter:
            number = math.nan
        if not math.isfinite(number):
            what = f"a finite number of {self._unit} above 0"
            self.fail(f"must be {what}; got {value!r}.", param, ctx)
        return number


class Folder(click.Path):
    """A path that is not empty; of "", Path would make the working directory."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return the path."""
        if not str(value).strip():
            self.fail("must be a path; got ''.", param, ctx)
        return super().convert(value, param, ctx)


class NamedFile(Folder):
    """A path of a file whose name has the right ending, or none.

    Args:
        suffix: the ending of what is written, such as ".zip".
    """

    def __init__(self, suffix: str) -> None:
        super().__init__(dir_okay=False)
        self._suffix = suffix

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return the path."""
        path = super().convert(value, param, ctx)
        if path.suffix.lower() not in ("", self._suffix):
            self.fail(f"must end in {self._suffix}; got {value!r}.", param, ctx)
        return path

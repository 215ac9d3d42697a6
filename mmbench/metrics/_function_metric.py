"""Metrics that a user's function makes of the players of a game."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError
from mmbench.core.game import with_players
from mmbench.core.made import Made
from mmbench.core.printable import shorten
from mmbench.metrics.base import Column, IterateMetric, Point


@dataclass(frozen=True, kw_only=True)
class FunctionMetric(Made, IterateMetric):
    """What a function says of the players of one run, in evaluation mode.

    It has no fields; each function has a class of its own.

    Attributes:
        function: (x, y) -> number, or numbers by name; or (x, y, samples).
        own_columns: the columns that it fills.
        samples: number of generated samples that it is given; 0 for none.
    """

    function: ClassVar[Callable[..., Any]]
    own_columns: ClassVar[tuple[Column, ...]] = ()
    samples: ClassVar[int] = 0

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that the game must have."""
        samples = {Capability.SAMPLES} if self.samples else set()
        return frozenset({Capability.PLAYERS} | samples)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return self.own_columns

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        arguments = (at.samples(self.samples),) if self.samples else ()
        game = with_players(at.game)
        function = type(self).function
        found = game.evaluate(at.z, at.seeds, function, *arguments)
        name = type(self).__qualname__
        rows = [numbers_of(name, one) for one in found]
        names = [column.name for column in self.columns]
        if any(set(row) != set(names) for row in rows):
            raise DescriptionError(
                f"{name} must return numbers named {', '.join(names)} each time; got "
                f"{', '.join(next(row for row in rows if set(row) != set(names)))}."
            )
        return {
            column: torch.tensor(
                [row[column] for row in rows], dtype=torch.float64, device=at.z.device
            )
            for column in names
        }


def numbers_of(name: str, returned: Any) -> dict[str, float]:
    """Return what a function returned, as numbers by column.

    Args:
        name: name of the function, which a single number is named after.
        returned: a number, or numbers by name.

    Raises:
        DescriptionError: when it is anything else.
    """
    numbers = returned if isinstance(returned, Mapping) else {name: returned}
    try:
        return {str(key): float(value) for key, value in numbers.items()}
    except (TypeError, ValueError, RuntimeError):
        raise DescriptionError(
            f"{name} must return a number, or a dict of numbers; got "
            f"{shorten(returned)}."
        ) from None

"""The output of a discriminator at each mode of the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.errors import MisfitError
from mmbench.core.game import with_modes
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class ModeLogits(IterateMetric):
    """Output of the discriminator at the mean of each mode, without a sigmoid.

    The columns `logit_mode_1` and so on only describe. With a cross-entropy loss an
    optimal discriminator's logit is the log of the density of the data over that of the
    generator, so that it is above 0 at a mode with too few samples and below 0 at one
    with too many. Over time the columns show a discriminator that follows the generator
    from mode to mode.

    Args:
        modes: number of modes of the game.
    """

    modes: Count = 4

    needs = frozenset({Capability.MODES, Capability.LOGITS})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return tuple(
            Column(f"logit_mode_{i}", f"discriminator's logit at mode {i}", "neither")
            for i in range(1, self.modes + 1)
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run.

        Raises:
            MisfitError: when the game has another number of modes.
        """
        modes = with_modes(at.game).modes
        if len(modes) != self.modes:
            raise MisfitError(
                f"{self} must be asked of a game with {self.modes} modes; "
                f"{type(at.game).__name__} has {len(modes)}. Choose "
                f"mode_logits[modes={len(modes)}]."
            )
        logits = at.game.logits(at.z, modes[None])
        names = (column.name for column in self.columns)
        return dict(zip(names, logits.unbind(1), strict=True))

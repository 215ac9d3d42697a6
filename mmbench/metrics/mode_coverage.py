"""Mode coverage, by three rules stated in advance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.game import with_modes
from mmbench.metrics.base import Column, IterateMetric, Point

NARROW = 3.0  # standard deviations within which a sample is of high quality
WIDE = 0.3  # distance that the eye forgives, a fifth of that between modes
VISIBLE = 0.05  # share of samples that the eye sees as a mode
STRICT = 0.25  # of a mode's own share
# A rule chosen after seeing samples, because it agrees with the authors' counts by eye;
# reported for comparison with them, never to rank.
LENIENT_RADIUS, LENIENT_SHARE = 0.35, 0.01


@final
@dataclass(frozen=True, kw_only=True)
class ModeCoverage(IterateMetric):
    """How many modes the generator's samples cover, and how many samples lie near one.

    Three rules, because they rank methods differently:

        loose:  a sample within 3 standard deviations (VEEGAN, PacGAN)
        strict: at least 1/4 of the mode's own share within 3 standard deviations
        visual: at least 5 % of the samples within 0.3, as a scatter plot shows it

    `modes` is the visual count. `modes_lenient` (1 % within 0.35) was chosen after
    seeing samples, to agree with published counts by eye; it is no evidence of its own.
    `near_mode` is the share of samples within 0.3 of a
    mode. `mode_tv` needs no threshold: the total variation between the shares of
    samples nearest to each mode and the modes' own shares. A perfect sampler has
    98.889 % of its samples within 3 standard deviations of a mode in the plane.

    Args:
        samples: drawn from each run's generator at each record.

    Source: Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN).
    """

    samples: Count = 2500

    needs = frozenset({Capability.SAMPLES, Capability.MODES})

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (
            Column("modes", "modes covered (visual rule)", "higher"),
            Column("modes_strict", "modes covered (strict rule)", "higher"),
            Column("modes_loose", "modes covered (loose rule)", "higher"),
            Column("modes_lenient", "modes covered (lenient rule, post hoc)", "higher"),
            Column("near_mode", "share of samples near a mode", "higher"),
            Column("high_quality", "share of samples within 3 sd", "higher"),
            Column("mode_tv", "total variation of nearest-mode shares", "lower"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        points = at.samples(self.samples)
        game = with_modes(at.game)
        modes, weights = game.modes.to(points), game.mode_weights.to(points)
        distances = torch.cdist(points, modes.expand(len(points), -1, -1))
        nearest, which = distances.min(dim=2)
        mine = torch.nn.functional.one_hot(which, len(modes)).bool()
        narrow = NARROW * game.deviation
        of_quality = _shares(mine & (nearest <= narrow)[:, :, None])
        visible = _shares(distances <= WIDE)
        return {
            "modes": (visible >= VISIBLE).sum(1).to(points),
            "modes_strict": (of_quality >= STRICT * weights).sum(1).to(points),
            "modes_loose": (of_quality > 0).sum(1).to(points),
            "modes_lenient": (_shares(distances <= LENIENT_RADIUS) >= LENIENT_SHARE)
            .sum(1)
            .to(points),
            "near_mode": (nearest <= WIDE).to(points).mean(1),
            "high_quality": (nearest <= narrow).to(points).mean(1),
            "mode_tv": (_shares(mine) - weights).abs().sum(1) / 2,
        }


def _shares(held: Tensor) -> Tensor:
    """Share of a run's samples that hold, for each mode; shape (runs, modes)."""
    return held.float().mean(1)

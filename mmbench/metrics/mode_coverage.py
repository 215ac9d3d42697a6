"""The number of modes that samples cover, by three rules stated in advance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.game import with_modes
from mmbench.core.literature import LIN_2018, SRIVASTAVA_2017
from mmbench.metrics.base import Column, IterateMetric, Point

HIGH_QUALITY_DEVIATIONS = 3.0  # standard deviations from a mode
VISUAL_RADIUS = 0.3  # a fifth of the distance between four modes
VISUAL_MIN_RATIO = 0.2  # to an even share; 5 % of the samples where there are 4 modes
STRICT_MIN_RATIO = 0.25  # to the mode's own share
# Chosen after looking at samples, because the rule agrees with the authors' counts by
# eye; reported for comparison with them, never to rank.
LENIENT_RADIUS, LENIENT_MIN_RATIO = 0.35, 0.04


@final
@dataclass(frozen=True, kw_only=True)
class ModeCoverage(IterateMetric):
    """Number of modes that the generator's samples cover, and quality of the samples.

    Modes are counted by three rules, because these rank methods differently:

        loose:  a sample within 3 standard deviations (VEEGAN, PacGAN)
        strict: at least 1/4 of the mode's own share within 3 standard deviations
        visual: at least a fifth of an even share (5 % of the samples where there are
                four modes) within 0.3, as a scatter plot shows it

    The columns `modes` (visual), `modes_strict` and `modes_loose` hold the counts.
    `modes_lenient` (a twenty-fifth of an even share, 1 % for four modes, within 0.35)
    was chosen after looking at samples, to agree with published counts by eye; it is no
    independent evidence.
    `near_mode` is the share of samples within 0.3 of a mode, `high_quality` the share
    within 3 standard deviations, which is 98.889 % for a perfect sampler in the plane.
    In all of these, higher is better. `mode_tv`, from 0 to 1, needs no threshold: it is
    the total variation distance between the shares of samples nearest to each mode and
    the modes' own shares; lower is better. A sample that is not finite is near no mode;
    mode_tv is then NaN.

    Args:
        samples: number of samples of each run at each record.

    Source: Srivastava, Valkov, Russell, Gutmann and Sutton 2017, VEEGAN: Reducing Mode
        Collapse in GANs Using Implicit Variational Learning; Lin, Khetan, Fanti and Oh
        2018, PacGAN: The Power of Two Samples in Generative Adversarial Networks.
    """

    sources = (SRIVASTAVA_2017, LIN_2018)

    samples: Count = 2500

    needs = frozenset({Capability.SAMPLES, Capability.MODES})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
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
        """Return the values of each column, one for each run."""
        points = at.samples(self.samples)
        game = with_modes(at.game)
        modes, weights = game.modes.to(points), game.mode_weights.to(points)
        distances = torch.cdist(points, modes.expand(len(points), -1, -1))
        nearest, nearest_mode = distances.min(dim=2)
        is_nearest = torch.nn.functional.one_hot(nearest_mode, len(modes)).bool()
        narrow = HIGH_QUALITY_DEVIATIONS * game.deviation
        high_quality = _shares(is_nearest & (nearest <= narrow)[:, :, None])
        even = 1 / len(modes)
        visual = _shares(distances <= VISUAL_RADIUS)
        lenient = _shares(distances <= LENIENT_RADIUS)
        tv = (_shares(is_nearest) - weights).abs().sum(1) / 2
        finite = points.isfinite().all(2).all(1)  # other points are nearest to no mode
        return {
            "modes": (visual >= VISUAL_MIN_RATIO * even).sum(1).to(points),
            "modes_strict": (high_quality >= STRICT_MIN_RATIO * weights)
            .sum(1)
            .to(points),
            "modes_loose": (high_quality > 0).sum(1).to(points),
            "modes_lenient": (lenient >= LENIENT_MIN_RATIO * even).sum(1).to(points),
            "near_mode": (nearest <= VISUAL_RADIUS).to(points).mean(1),
            "high_quality": (nearest <= narrow).to(points).mean(1),
            "mode_tv": tv.where(finite, torch.nan),
        }


def _shares(mask: Bool[Tensor, "runs count modes"]) -> Float[Tensor, "runs modes"]:
    """Return the share of a run's samples that the mask selects for each mode."""
    return mask.float().mean(1)

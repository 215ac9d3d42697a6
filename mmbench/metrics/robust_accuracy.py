"""The accuracy of a classifier on held-out images, and on attacked ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmbench.core.capability import Capability
from mmbench.core.domains import Count
from mmbench.core.game import GameWithClassifier, with_classifier
from mmbench.core.literature import MADRY_2018
from mmbench.core.streams import generator
from mmbench.metrics.base import Column, IterateMetric, Point

REACH = 2.5  # radii that all steps together can move a pixel: across the box and more


@final
@dataclass(frozen=True, kw_only=True)
class RobustAccuracy(IterateMetric):
    """Accuracy of a classifier on held-out images, clean and under attack.

        δ ← P(δ + (2.5 ε/k) sign ∇δ ℓ(x; a + δ, c)),   k times

    The column `accuracy` is the share of the held-out images a whose class c has the
    largest logit; `robust_accuracy` is that of a + δ after the attack, which P keeps
    within the game's bounds. The first δ is uniform within them, one draw for all runs
    and records. ℓ is the cross-entropy, ε the radius. Higher is better for both, and
    both are NaN if a logit is not finite. An attack may fail, so that the accuracy
    under the best attack can be smaller.

    Args:
        steps: k, the steps of the attack.

    Differs from the source: one attack from one random point, in place of the
        strongest of several.
    Source: Madry, Makelov, Schmidt, Tsipras and Vladu 2018, for projected gradient
        descent as an attack.
    """

    sources = (MADRY_2018,)

    steps: Count = 20

    needs = frozenset({Capability.CLASSIFIER})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        under = f"accuracy under {self.steps} steps of attack"
        return (
            Column("accuracy", "accuracy on held-out images", "higher"),
            Column("robust_accuracy", under, "higher"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        game, x = with_classifier(at.game), at.z[:, : at.game.dim_x].detach()
        clean = game.held_out().images.expand(len(x), -1, -1)
        attacked = clean + self._attack(game, x)
        columns = {"accuracy": clean, "robust_accuracy": attacked}
        return {name: _accuracy(game, x, images) for name, images in columns.items()}

    def _attack(
        self, game: GameWithClassifier, x: Float[Tensor, "runs dim_x"]
    ) -> Float[Tensor, "runs count size"]:
        """Return the perturbation of each held-out image for each run."""
        images, labels = game.held_out()
        low, high = game.box(images)
        random = generator(0, "metrics/robust_accuracy")
        share = torch.rand(images.shape, generator=random, dtype=torch.float64)
        moved = (low + share.to(images) * (high - low)).expand(len(x), -1, -1)
        step, classes = REACH * game.radius / self.steps, labels.expand(len(x), -1)
        for _ in range(self.steps):
            with torch.enable_grad():
                moved = moved.detach().requires_grad_()
                logits = game.classify(x, images + moved).movedim(2, 1)
                loss = cross_entropy(logits, classes, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, moved)
            moved = (moved.detach() + step * gradient.sign()).clamp(low, high)
        return moved


def _accuracy(
    game: GameWithClassifier,
    x: Float[Tensor, "runs dim_x"],
    images: Float[Tensor, "runs count size"],
) -> Float[Tensor, " runs"]:
    """Return the share of the images that each run's classifier gets right."""
    with torch.no_grad():
        logits = game.classify(x, images)
    right = (logits.argmax(2) == game.held_out().labels).to(x).mean(1)
    return right.where(logits.isfinite().all(2).all(1), torch.nan)

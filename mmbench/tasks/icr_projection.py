"""Two tiny networks, of which the generator cannot make the one real point."""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Scale
from mmbench.core.game import Game
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.placement import Placement
from mmbench.tasks.base import DrawnStartTask, Numbers

TARGET = (2.0, 2.0)


@final
@dataclass(frozen=True, kw_only=True)
class ICRProjection(DrawnStartTask):
    """ICR projection: a generator that can meet one coordinate of the data at a time.

        f(x, y) = D(η P, y) − D(η θ(x), y),   P = (2, 2),   η = diag(scaling)
        θ = (e^(s + t), e^(s − t)),   s = arctan(o₂) / π,   t = o₁
        o = A₂ arctan(A₁ arctan(a)),   x = (a, A₁, A₂) with 4 + 4·4 + 2·4 weights
        D(v, y) = arctan(B₃ arctan(B₂ arctan(B₁ v))),   y with 4·2 + 4·4 + 1·4

    As θ₁ θ₂ = e^(2s) < e, no x makes P. A discriminator that sees the first coordinate
    more strongly lets gradient steps hold θ₁ near 2 for long periods, which the authors
    read as a projection of P by the metric |η v|; with equal scaling θ oscillates.

    Args:
        scaling: factors η of the two coordinates that the discriminator reads; the
            authors' blog has (100, 1).
        deviation: standard deviation of the initial weights, which are normal; the
            paper does not state it.

    Solutions: none is declared. The point of the closure of all θ that is nearest to P
        by |η v| is (1.9999564, 1.3591705) with the default scaling, and (√e, √e) with
        equal factors.
    Source: Schäfer, Zheng and Anandkumar 2020, Section 4 and Appendix A.2.
    """

    scaling: tuple[Scale, Scale] = (1.0, 0.01)
    deviation: Scale = 0.5

    source = SCHAEFER_2020.at("Section 4 and Appendix A.2")

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        return frozenset({Capability.ZERO_SUM, Capability.ONE_POINT})

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return ("generated_point", "stay[of=theta_1,at=2]", "field_norm")

    def build(self, placement: Placement) -> "ICRProjectionGame":
        """Build the game."""
        return ICRProjectionGame(self, placement)

    def drawn(self, game: Game) -> Numbers:
        """Return what a run draws: a normal number for each weight."""
        return Numbers(game.dim)

    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return the weights of both networks, normal with the stated deviation."""
        return (self.deviation * numbers).to(game.dtype)


class ICRProjectionGame(Game):
    """The game of a generator without noise and a discriminator, 28 weights each.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    dim_x = dim_y = 28

    def __init__(self, task: ICRProjection, placement: Placement) -> None:
        self.device, self.dtype = placement.device, placement.dtype
        self._scaling = torch.tensor(task.scaling, device=self.device, dtype=self.dtype)
        target = torch.tensor([TARGET], device=self.device, dtype=self.dtype)
        self._scaled_target = self._scaling * target

    def losses(
        self, x: Tensor, y: Tensor, sample: None, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return D(η P) − D(η θ) and its negative, each of shape (runs,).

        Args:
            x: weights of the generator, shape (runs, 28).
            y: weights of the discriminator, shape (runs, 28).
            sample: no minibatch.
            train: no effect.
        """
        fake = self._scaling * self.point(x)
        f = self._judge(y, self._scaled_target) - self._judge(y, fake)
        return f, -f

    def point(self, x: Float[Tensor, "runs 28"]) -> Float[Tensor, "runs 2"]:
        """Return the generator's output θ."""
        first, inner, last = x.split((4, 16, 8), dim=1)
        o = _times(last, _times(inner, first.arctan()).arctan())
        t, s = o[:, 0], o[:, 1].arctan() / math.pi
        return torch.stack(((s + t).exp(), (s - t).exp()), dim=1)

    def _judge(
        self, y: Float[Tensor, "runs 28"], v: Float[Tensor, "_ 2"]
    ) -> Float[Tensor, " runs"]:
        """Return the discriminator's output for one point of each run, or of all."""
        first, inner, last = y.split((8, 16, 4), dim=1)
        hidden = _times(inner, _times(first, v).arctan()).arctan()
        return _times(last, hidden).arctan()[:, 0]

    def generate(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Float[Tensor, "runs count 2"]:
        """Return the generator's only output, `count` times."""
        return self.point(z[:, : self.dim_x])[:, None].expand(-1, count, -1)


def _times(
    weights: Float[Tensor, "runs size"], v: Float[Tensor, "_ inputs"]
) -> Float[Tensor, "runs outputs"]:
    """Return the product of each run's matrix, stored by rows, with a vector."""
    # A sum rather than a matrix product, whose rounding depends on alignment.
    return (weights.unflatten(1, (-1, v.shape[1])) * v[:, None]).sum(2)

"""Regularisers of a GAN's discriminator: penalties, constraints and noise."""

from abc import ABC
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.description import Description
from mmbench.core.domains import Bound, NonNegative, Positive
from mmbench.tasks._networks import Network
from mmbench.tasks.base import clip_y

Points = Float[Tensor, "runs batch *point"]


class Judgement(NamedTuple):
    """A discriminator and the points that it is shown.

    Args:
        y: parameters of the discriminator.
        real: real points.
        fake: generated points.
        judge: function from points to logits without dropout.
    """

    y: Float[Tensor, "runs dim_y"]
    real: Points
    fake: Points
    judge: Callable[[Points], Float[Tensor, "runs batch"]]


@dataclass(frozen=True, kw_only=True)
class Regulariser(Description, ABC):
    """A penalty that y pays, a constraint on y, or a change of what y reads.

    Each member overrides one or two of these methods.
    """

    @property
    def is_shared(self) -> bool:
        """Whether the penalty is part of both players' loss, as zero-sum games need."""
        return True

    @property
    def needs_logit(self) -> bool:
        """Whether the discriminator must have one output."""
        return False

    def numbers(self, size: int) -> int:
        """Return how many numbers `draw` draws for a minibatch of this many entries."""
        return 0

    def draw(
        self, generator: torch.Generator, shape: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        """Draw the regulariser's own random numbers for minibatches of one run.

        Args:
            generator: random generator of the run.
            shape: shape of the real points, (count, batch, ...).
        """
        return ()

    def network(self, discriminator: Network) -> Network:
        """Return the discriminator as it is used."""
        return discriminator

    def show(
        self, real: Points, fake: Points, drawn: tuple[Tensor, ...]
    ) -> tuple[Points, Points]:
        """Return the real and the generated points as the discriminator reads them."""
        return real, fake

    def penalty(
        self, at: Judgement, drawn: tuple[Tensor, ...]
    ) -> Float[Tensor, " runs"] | None:
        """Return the penalty that is subtracted from f; None for none."""
        return None

    def project(self, z: Float[Tensor, "runs dim"], dim_x: int) -> Tensor:
        """Return the nearest allowed iterate."""
        return z


# The annotation of a task's `regularisers`.
Regularisers = tuple[Regulariser, ...]


def squared_slopes(
    judge: Callable[[Points], Float[Tensor, "runs batch"]], points: Points
) -> Float[Tensor, "runs batch"]:
    """Return ‖∂D(s)/∂s‖² at each point s, which can be differentiated."""
    with torch.enable_grad():  # also where only the loss's value is asked for
        if not points.requires_grad:
            points = points.detach().requires_grad_()
        logits = judge(points)
        slope = torch.autograd.grad(logits.sum(), points, create_graph=True)[0]
        return slope.flatten(2).square().sum(2)


@dataclass(frozen=True, kw_only=True)
class L2(Regulariser):
    """The squared length of y: λ Σ y² (no ½) is subtracted from f.

    Args:
        weight: λ, in units of f per squared unit of y.
    """

    weight: NonNegative = 1e-4

    def penalty(self, at: Judgement, drawn: tuple[Tensor, ...]) -> Tensor:
        """Return the penalty that is subtracted from f."""
        return self.weight * (at.y * at.y).sum(1)


@dataclass(frozen=True, kw_only=True)
class GP(Regulariser):
    """Gradient penalty: the discriminator's slopes between the data are drawn to c.

        λ E (‖∂D(s)/∂s‖ − c)²,   s = u real + (1 − u) fake

    With c = 1 it aims at discriminators of Lipschitz constant 1; with c = 0 at flat
    ones, which an equilibrium with q = p needs.

    Args:
        weight: λ, in units of f per squared unit of slope.
        centre: c, in units of D per unit of the data.
        between: distribution of the share u of the real point: "uniform" on [0, 1], or
            standard "normal".
        shared: whether the penalty is part of both players' loss; otherwise the
            generator's leaves it out and the game is not zero-sum.

    Source: Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017; Thanh-Tung, Tran
        and Venkatesh 2019, for c = 0.
    """

    weight: Positive = 10.0
    centre: NonNegative = 1.0
    between: Literal["uniform", "normal"] = "uniform"
    shared: bool = True

    @property
    def is_shared(self) -> bool:
        """Whether the penalty is part of both players' loss."""
        return self.shared

    @property
    def needs_logit(self) -> bool:
        """Whether the discriminator must have one output."""
        return True

    def draw(
        self, generator: torch.Generator, shape: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        """Draw the shares of the real points."""
        draw = torch.rand if self.between == "uniform" else torch.randn
        return (draw(*shape[:2], generator=generator),)

    def penalty(self, at: Judgement, drawn: tuple[Tensor, ...]) -> Tensor:
        """Return the penalty that is subtracted from f."""
        shares = drawn[0].view(*drawn[0].shape, *[1] * (at.real.ndim - 2))
        with torch.enable_grad():
            between = shares * at.real + (1 - shares) * at.fake
        squares = squared_slopes(at.judge, between)
        if not self.centre:
            return self.weight * squares.mean(1)
        with torch.enable_grad():
            # 1e-12 as in the authors' code: the root has no derivative at zero.
            off = (squares + 1e-12).sqrt() - self.centre
            return self.weight * off.square().mean(1)


@dataclass(frozen=True, kw_only=True)
class R1(Regulariser):
    """R1: the squared slope of the discriminator at real points, (γ/2) E ‖∂D/∂s‖².

    It does not depend on x, so that a zero-sum game stays one.

    Args:
        weight: γ, in units of f per squared unit of slope.

    Source: Mescheder, Geiger and Nowozin 2018.
    """

    weight: NonNegative = 10.0

    @property
    def needs_logit(self) -> bool:
        """Whether the discriminator must have one output."""
        return True

    def penalty(self, at: Judgement, drawn: tuple[Tensor, ...]) -> Tensor:
        """Return the penalty that is subtracted from f."""
        return self.weight / 2 * squared_slopes(at.judge, at.real).mean(1)


@dataclass(frozen=True, kw_only=True)
class R2(Regulariser):
    """R2: the squared slope of the discriminator at fake points, (γ/2) E ‖∂D/∂s‖².

    Args:
        weight: γ, in units of f per squared unit of slope.
        shared: whether the penalty is part of both players' loss; otherwise, as in the
            source, the generator's leaves it out and the game is not zero-sum.

    Source: Mescheder, Geiger and Nowozin 2018.
    """

    weight: Positive = 10.0
    shared: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether the penalty is part of both players' loss."""
        return self.shared

    @property
    def needs_logit(self) -> bool:
        """Whether the discriminator must have one output."""
        return True

    def penalty(self, at: Judgement, drawn: tuple[Tensor, ...]) -> Tensor:
        """Return the penalty that is subtracted from f."""
        return self.weight / 2 * squared_slopes(at.judge, at.fake).mean(1)


@dataclass(frozen=True, kw_only=True)
class Spectral(Regulariser):
    """Spectral normalisation: each weight is divided by its largest singular value.

    The singular vectors come from one power iteration at each step and are constants of
    the gradient.

    Source: Miyato, Kataoka, Koyama and Yoshida 2018.
    """

    def network(self, discriminator: Network) -> Network:
        """Return the discriminator as it is used."""
        return replace(discriminator, normalised=True)


@dataclass(frozen=True, kw_only=True)
class Clip(Regulariser):
    """Weight clipping: each entry of y is projected on [−c, c].

    Args:
        bound: c, in units of y; 0 leaves y free.

    Source: Arjovsky, Chintala and Bottou 2017.
    """

    bound: Bound = 0.01

    def project(self, z: Float[Tensor, "runs dim"], dim_x: int) -> Tensor:
        """Return the nearest allowed iterate."""
        return clip_y(z, dim_x, self.bound)


@dataclass(frozen=True, kw_only=True)
class Noise(Regulariser):
    """Instance noise: the discriminator reads points to which normal noise is added.

    Real and generated points each have their own noise, in training and in evaluation
    of the losses; the other regularisers see the noisy points. So p and q are both
    smoothed, and their supports meet.

    Args:
        deviation: standard deviation of the noise, in units of the data.

    Differs from the source: the deviation does not fall in the course of training.
    Source: Sønderby, Caballero, Theis, Shi and Huszár 2017.
    """

    deviation: Bound = 0.1

    def numbers(self, size: int) -> int:
        """Return how many numbers `draw` draws for a minibatch of this many entries."""
        return 2 * size

    def draw(
        self, generator: torch.Generator, shape: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        """Draw the noise of real points, and that of generated ones."""
        return tuple(torch.randn(shape, generator=generator) for _ in range(2))

    def show(
        self, real: Points, fake: Points, drawn: tuple[Tensor, ...]
    ) -> tuple[Points, Points]:
        """Return the real and the generated points as the discriminator reads them."""
        at_real, at_fake = drawn
        return real + self.deviation * at_real, fake + self.deviation * at_fake


def clipping(bound: float) -> Iterator[Clip]:
    """Return the regulariser of a task's field `clip`; none for 0."""
    if bound:
        yield Clip(bound=bound)

"""Losses of GANs: what each player minimises, given the discriminator's outputs.

Real points have the distribution p, generated ones q. The names "saturating",
"nonsaturating" and "wasserstein" are losses without parameters of their own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, softplus

from mmbench.core.description import Description
from mmbench.core.domains import Coordinate, Count, Positive
from mmbench.core.errors import DescriptionError

# One number for each point; for losses with several outputs or with features, several.
Judged = Float[Tensor, "runs batch *columns"]
PerRun = Float[Tensor, " runs"]


@dataclass(frozen=True, kw_only=True)
class Loss(Description, ABC):
    """What the players of a GAN minimise: y maximises `payoff`.

    x minimises `payoff` in a zero-sum game, and `generator_loss` in others.
    """

    @property
    def is_zero_sum(self) -> bool:
        """Whether x minimises what y maximises."""
        return True

    @property
    def outputs(self) -> int:
        """The number of outputs of the discriminator."""
        return 1

    @property
    def reads_features(self) -> bool:
        """Whether the inputs of the discriminator's last layer follow its outputs."""
        return False

    @property
    def fewest(self) -> int:
        """The smallest minibatch on which the loss is defined."""
        return 1

    def draw(
        self, generator: torch.Generator, count: int, features: int
    ) -> tuple[Tensor, ...]:
        """Draw the loss's own random numbers for `count` minibatches of one run.

        Args:
            generator: random generator of the run.
            count: number of minibatches.
            features: number of inputs of the discriminator's last layer.
        """
        return ()

    def numbers(self, features: int) -> int:
        """Return how many numbers `draw` draws for one minibatch."""
        return 0

    @abstractmethod
    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers.

        Args:
            real: the discriminator's outputs at real points.
            fake: the discriminator's outputs at generated points.
        """

    def generator_loss(
        self, real: Judged, fake: Judged, drawn: tuple[Tensor, ...]
    ) -> PerRun:
        """Return what x minimises, where that is not the payoff.

        Args:
            real: the discriminator's outputs at real points.
            fake: the discriminator's outputs at generated points.
            drawn: random numbers of `draw`, with a leading `runs` axis.
        """
        raise NotImplementedError


# ---- losses without parameters ----


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """The cross-entropy of real and generated points.

        f = −E softplus(−D(real)) − E softplus(D(fake))

    Args:
        saturating: whether x minimises f; otherwise E softplus(−D(fake)).

    Source: Goodfellow et al. 2014.
    """

    saturating: bool = True

    @property
    def is_zero_sum(self) -> bool:
        """Whether x minimises what y maximises."""
        return self.saturating

    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers."""
        return -softplus(-real).mean(1) - softplus(fake).mean(1)

    def generator_loss(
        self, real: Judged, fake: Judged, drawn: tuple[Tensor, ...]
    ) -> PerRun:
        """Return what x minimises, where that is not the payoff."""
        return softplus(-fake).mean(1)


@dataclass(frozen=True, kw_only=True)
class Wasserstein(Loss):
    """The difference of means, f = E D(real) − E D(fake).

    Source: Arjovsky, Chintala and Bottou 2017.
    """

    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers."""
        return real.mean(1) - fake.mean(1)


NAMED: dict[str, Loss] = {
    "saturating": CrossEntropy(),
    "nonsaturating": CrossEntropy(saturating=False),
    "wasserstein": Wasserstein(),
}
# The annotation of a task's `loss`; losses without a class in the registry are names.
GANLoss = Literal["saturating", "nonsaturating", "wasserstein"] | Loss


def loss_of(given: GANLoss) -> Loss:
    """Return the loss that a task's field describes."""
    return NAMED[given] if isinstance(given, str) else given


# ---- least squares and hinge ----


@dataclass(frozen=True, kw_only=True)
class LSGAN(Loss):
    """Least squares: outputs are drawn to one label at real and another at fake points.

        f = −½ E (D(real) − b)² − ½ E (D(fake) − a)²
        loss of x = ½ E (D(fake) − c)²

    The best discriminator is (b p + a q) / (p + q). With b − c = 1 and b − a = 2, as
    for a = −1, b = 1 and c = 0, the loss of x plus ½ E (D(real) − c)² is then half of
    Pearson's divergence of p + q from 2q, which is ½ Σ (p − q)² / (p + q).

    Args:
        a: label of generated points.
        b: label of real points.
        c: label that x wants for generated points.

    Source: Mao, Li, Xie, Lau, Wang and Smolley 2017.
    """

    a: Coordinate = 0.0
    b: Coordinate = 1.0
    c: Coordinate = 1.0

    @property
    def is_zero_sum(self) -> bool:
        """Whether x minimises what y maximises."""
        return False

    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers."""
        off_real, off_fake = (real - self.b).square(), (fake - self.a).square()
        return -(off_real.mean(1) + off_fake.mean(1)) / 2

    def generator_loss(
        self, real: Judged, fake: Judged, drawn: tuple[Tensor, ...]
    ) -> PerRun:
        """Return what x minimises, where that is not the payoff."""
        return (fake - self.c).square().mean(1) / 2


@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """The hinge: y gains nothing from points that it already separates by a margin.

        f = −E max(0, 1 − D(real)) − E max(0, 1 + D(fake))
        loss of x = −E D(fake)

    The best discriminator is 1 where p > q and −1 where p < q; f is then minus twice
    the mass that p and q share.

    Source: Lim and Ye 2017.
    """

    @property
    def is_zero_sum(self) -> bool:
        """Whether x minimises what y maximises."""
        return False

    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers."""
        return -(1 - real).relu().mean(1) - (1 + fake).relu().mean(1)

    def generator_loss(
        self, real: Judged, fake: Judged, drawn: tuple[Tensor, ...]
    ) -> PerRun:
        """Return what x minimises, where that is not the payoff."""
        return -fake.mean(1)


# ---- f-divergences ----


class _Conjugate(NamedTuple):
    """An f-divergence by what its bound takes at an output v of the discriminator.

    Args:
        at_real: t = g(v), the output in the domain of f*.
        at_fake: f*(g(v)).
    """

    at_real: Callable[[Tensor], Tensor]
    at_fake: Callable[[Tensor], Tensor]


_LOG_2 = math.log(2)
# f*(g(v)) is simplified, since f* and g taken one after the other overflow early.
_CONJUGATES = {
    "kl": _Conjugate(lambda v: v, lambda v: (v - 1).exp()),
    "reverse_kl": _Conjugate(lambda v: -(-v).exp(), lambda v: v - 1),
    "pearson": _Conjugate(lambda v: v, lambda v: v + v.square() / 4),
    "hellinger": _Conjugate(lambda v: -torch.expm1(-v), torch.expm1),
    "jensen_shannon": _Conjugate(
        lambda v: _LOG_2 - softplus(-v), lambda v: softplus(v) - _LOG_2
    ),
}


@dataclass(frozen=True, kw_only=True)
class FGAN(Loss):
    """f-GAN: the variational lower bound of an f-divergence of p from q.

        f(x, y) = E g(D(real)) − E f*(g(D(fake))) ≤ D_f(p ‖ q) = Σ q f(p / q)

        divergence      f(u)                                g(v)
        kl              u log u                             v
        reverse_kl      −log u                              −e^(−v)
        pearson         (u − 1)²                            v
        hellinger       (√u − 1)²                           1 − e^(−v)
        jensen_shannon  u log u − (u + 1) log((u + 1) / 2)  log 2 − log(1 + e^(−v))

    The bound is tight where g(D) = f'(p / q). By these generators "pearson" is
    Σ (p − q)² / q, not over p, and "jensen_shannon" is twice the Jensen-Shannon
    divergence. The paper's "GAN" is `loss=saturating`, which lies log 4 below
    "jensen_shannon" at each D.

    Args:
        divergence: divergence, as above.
        generator: whether x minimises the bound ("minimax") or, for stronger gradients,
            −E g(D(fake)) ("nonsaturating").

    Source: Nowozin, Cseke and Tomioka 2016.
    """

    divergence: Literal[
        "kl", "reverse_kl", "pearson", "hellinger", "jensen_shannon"
    ] = "jensen_shannon"
    generator: Literal["minimax", "nonsaturating"] = "minimax"

    @property
    def is_zero_sum(self) -> bool:
        """Whether x minimises what y maximises."""
        return self.generator == "minimax"

    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers."""
        conjugate = _CONJUGATES[self.divergence]
        return conjugate.at_real(real).mean(1) - conjugate.at_fake(fake).mean(1)

    def generator_loss(
        self, real: Judged, fake: Judged, drawn: tuple[Tensor, ...]
    ) -> PerRun:
        """Return what x minimises, where that is not the payoff."""
        return -_CONJUGATES[self.divergence].at_real(fake).mean(1)


# ---- distances of features ----


@dataclass(frozen=True, kw_only=True)
class MMD(Loss):
    """MMD: the maximum mean discrepancy of features that the discriminator learns.

        f = E k(r, r') + E k(s, s') − 2 E k(r, s)
        k(r, s) = Σ_α (1 + ‖r − s‖² / 2α)^(−α)

    r and r' are the discriminator's outputs at two real points, s and s' those at two
    generated ones. f is the unbiased estimator on a minibatch and may be negative.

    Args:
        features: number of outputs of the discriminator.
        scales: α, shapes of the rational quadratic kernels, each in squared units of
            the outputs.

    Source: Li, Chang, Cheng, Yang and Póczos 2017, for the game; Bińkowski, Sutherland,
        Arbel and Gretton 2018, for the kernel.
    """

    features: Count = 16
    scales: tuple[Positive, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)

    def check(self) -> None:
        """Raise `DescriptionError` when there is no kernel."""
        if not self.scales:
            raise DescriptionError("MMD.scales must have at least one number; got ().")

    @property
    def outputs(self) -> int:
        """The number of outputs of the discriminator."""
        return self.features

    @property
    def fewest(self) -> int:
        """The smallest minibatch on which the loss is defined."""
        return 2

    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers."""
        if self.features == 1:
            real, fake = real[:, :, None], fake[:, :, None]
        within = self._other_pairs(real) + self._other_pairs(fake)
        return within - 2 * self._kernel(real, fake).mean((1, 2))

    def _kernel(self, left: Judged, right: Judged) -> Float[Tensor, "runs batch batch"]:
        """Return the kernel of each point on the left with each on the right."""
        squares = left.square().sum(2)[:, :, None] + right.square().sum(2)[:, None]
        squares = (squares - 2 * left @ right.mT).clamp_min(0)
        kernels = [(squares / (2 * a)).log1p().mul(-a).exp() for a in self.scales]
        return torch.stack(kernels).sum(0)

    def _other_pairs(self, points: Judged) -> PerRun:
        """Return the mean kernel of the pairs of two different points."""
        kernel, count = self._kernel(points, points), points.shape[1]
        own = kernel.diagonal(dim1=1, dim2=2).sum(1)
        return (kernel.sum((1, 2)) - own) / (count * (count - 1))


@dataclass(frozen=True, kw_only=True)
class Sliced(Loss):
    """Sliced Wasserstein: x matches the discriminator's features along random lines.

        f = −E softplus(−D(real)) − E softplus(D(fake))
        loss of x = mean over directions ω of W₂²(ω · h(real), ω · h(fake))

    h are the inputs of the discriminator's last layer. The squared Wasserstein distance
    of two samples on a line is the mean squared difference of the sorted samples.

    Args:
        directions: number of directions, uniform on the sphere, new in each minibatch.

    Source: Deshpande, Zhang and Schwing 2018, and their code.
    """

    directions: Count = 128

    @property
    def is_zero_sum(self) -> bool:
        """Whether x minimises what y maximises."""
        return False

    @property
    def reads_features(self) -> bool:
        """Whether the inputs of the discriminator's last layer follow its outputs."""
        return True

    def draw(
        self, generator: torch.Generator, count: int, features: int
    ) -> tuple[Tensor, ...]:
        """Draw the directions for `count` minibatches of one run."""
        shape = (count, features, self.directions)
        return (normalize(torch.randn(shape, generator=generator), dim=1),)

    def numbers(self, features: int) -> int:
        """Return how many numbers `draw` draws for one minibatch."""
        return features * self.directions

    def payoff(self, real: Judged, fake: Judged) -> PerRun:
        """Return what y maximises, without regularisers."""
        return NAMED["saturating"].payoff(real[:, :, 0], fake[:, :, 0])

    def generator_loss(
        self, real: Judged, fake: Judged, drawn: tuple[Tensor, ...]
    ) -> PerRun:
        """Return what x minimises, where that is not the payoff."""
        along = [(one[:, :, 1:] @ drawn[0]).sort(dim=1).values for one in (real, fake)]
        return (along[0] - along[1]).square().mean((1, 2))

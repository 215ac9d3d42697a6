"""Schedules: factors of the step size that change from step to step."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.description import Description
from mmbench.core.domains import Fraction, NonNegative, Positive, Steps


@dataclass(frozen=True, kw_only=True)
class Schedule(Description, ABC):
    """A rule that gives a factor of the step size for each step."""

    @abstractmethod
    def factor(self, time: Float[Tensor, "runs 1"]) -> Float[Tensor, "runs 1"]:
        """Return the factors of a step.

        Args:
            time: number of steps that each run has made before.
        """


@dataclass(frozen=True, kw_only=True)
class Rsqrt(Schedule):
    """The inverse root of the step's number: s(t) = 1 / √(1 + t)."""

    def factor(self, time: Float[Tensor, "runs 1"]) -> Float[Tensor, "runs 1"]:
        """Return the factors of a step."""
        return 1 / (1 + time).sqrt()


@dataclass(frozen=True, kw_only=True)
class Power(Schedule):
    """A power of the step's number: s(t) = (1 + t/b)⁻ʳ.

    Args:
        exponent: r.
        offset: b, number of steps after which the factor falls notably.
    """

    exponent: NonNegative = 1.0
    offset: Positive = 1.0

    def factor(self, time: Float[Tensor, "runs 1"]) -> Float[Tensor, "runs 1"]:
        """Return the factors of a step."""
        return (1 + time / self.offset) ** -self.exponent


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine: s(t) = e + (1−e) (1 + cos(π t/T)) / 2 up to t = T, then e.

    Args:
        steps: T, steps until the factor is smallest.
        end: e, the smallest factor.

    Source: Loshchilov and Hutter 2017.
    """

    steps: Steps = 10_000
    end: Fraction = 0.0

    def factor(self, time: Float[Tensor, "runs 1"]) -> Float[Tensor, "runs 1"]:
        """Return the factors of a step."""
        share = (time / self.steps).clamp_max(1)
        return self.end + (1 - self.end) * (1 + torch.cos(math.pi * share)) / 2

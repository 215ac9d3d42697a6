"""Acceptance laws: at which steps a proposal is accepted without a test."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mmbench.core.description import Description
from mmbench.core.domains import Count, Fraction, NonNegative, Positive
from mmbench.core.oracle import Oracle


@dataclass(frozen=True, kw_only=True)
class Acceptance(Description, ABC):
    """A rule for the runs that accept the proposal of a step without a test."""

    @abstractmethod
    def accepts(
        self, oracle: Oracle, time: Int[Tensor, " runs"]
    ) -> Bool[Tensor, " runs"]:
        """Return the runs that accept untested, given their numbers of steps so far."""


@dataclass(frozen=True, kw_only=True)
class Constant(Acceptance):
    """Untested acceptance with a constant probability.

    Args:
        p: probability; e^(−1/τ) in the paper's notation.
    """

    p: Fraction = 0.25

    def accepts(
        self, oracle: Oracle, time: Int[Tensor, " runs"]
    ) -> Bool[Tensor, " runs"]:
        """Return the runs that accept untested, given their numbers of steps so far."""
        return oracle.uniform() < self.p


@dataclass(frozen=True, kw_only=True)
class Every(Acceptance):
    """Untested acceptance at every r-th step, as in the authors' notebooks.

    Args:
        r: period, in steps; the first step is one of them.
    """

    r: Count = 4

    def accepts(
        self, oracle: Oracle, time: Int[Tensor, " runs"]
    ) -> Bool[Tensor, " runs"]:
        """Return the runs that accept untested, given their numbers of steps so far."""
        return time % self.r == 0


@dataclass(frozen=True, kw_only=True)
class Annealed(Acceptance):
    """Untested acceptance with a falling probability.

        p = 1 / (floor + exp((t / scale)²))

    This is the rule of the authors' MNIST notebook; t is the number of steps before.

    Args:
        floor: offset; the first probability is 1 / (floor + 1).
        scale: number of steps after which the probability falls notably.
    """

    floor: NonNegative = 4.0
    scale: Positive = 20000.0

    def accepts(
        self, oracle: Oracle, time: Int[Tensor, " runs"]
    ) -> Bool[Tensor, " runs"]:
        """Return the runs that accept untested, given their numbers of steps so far."""
        probability = 1 / (self.floor + torch.exp((time / self.scale) ** 2))
        return oracle.uniform() < probability

"""Acceptance laws: when a proposal is taken whatever the test says."""

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
    """Which runs accept at a step whatever the test says."""

    @abstractmethod
    def grants(self, oracle: Oracle, time: Int[Tensor, "runs"]) -> Bool[Tensor, "runs"]:
        """Runs that accept untested; `time` counts each run's steps from 0."""


@dataclass(frozen=True, kw_only=True)
class Constant(Acceptance):
    """With a constant probability.

    Args:
        p: the probability; e^(−1/τ) in the paper's notation.
    """

    p: Fraction = 0.25

    def grants(self, oracle: Oracle, time: Int[Tensor, "runs"]) -> Bool[Tensor, "runs"]:
        """Runs that accept untested; `time` counts each run's steps from 0."""
        return oracle.uniform() < self.p


@dataclass(frozen=True, kw_only=True)
class Every(Acceptance):
    """Every r-th step, beginning with the first, as in the authors' notebooks.

    Args:
        r: the period, in steps.
    """

    r: Count = 4

    def grants(self, oracle: Oracle, time: Int[Tensor, "runs"]) -> Bool[Tensor, "runs"]:
        """Runs that accept untested; `time` counts each run's steps from 0."""
        return time % self.r == 0


@dataclass(frozen=True, kw_only=True)
class Annealed(Acceptance):
    """With a probability that falls, as in the authors' MNIST notebook.

        p = 1 / (floor + exp((t / scale)²))

    Args:
        floor: the first probability is 1 / (floor + 1).
        scale: steps after which it falls notably.
    """

    floor: NonNegative = 4.0
    scale: Positive = 20000.0

    def grants(self, oracle: Oracle, time: Int[Tensor, "runs"]) -> Bool[Tensor, "runs"]:
        """Runs that accept untested; `time` counts each run's steps from 0."""
        law = 1 / (self.floor + torch.exp((time / self.scale) ** 2))
        return oracle.uniform() < law

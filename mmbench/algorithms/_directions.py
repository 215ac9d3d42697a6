"""Directions: what a player makes of its gradient before it is scaled and subtracted.

First-order methods hold one for both players, or a pair (x, y); so Adam-GDA, ExtraAdam
and OptimisticAdam are compositions. All operations can be differentiated, which
unrolling needs.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.description import Description
from mmbench.core.domains import Decay, Positive
from mmbench.core.oracle import Oracle, Size
from mmbench.core.vectors import Joint, Vector

# Below this a second moment counts as zero: its root (1e-15) vanishes beside every
# epsilon in use, and the root's derivative stays finite, as unrolling needs.
SMALLEST_SQUARE = 1e-30


@dataclass(frozen=True, kw_only=True)
class Direction(Description, ABC):
    """Turns a gradient into the direction to subtract, with moments of its own."""

    def init(self, gradient: Vector) -> Any:
        """Moments before the first gradient, given any tensor of its shape."""
        return ()

    @abstractmethod
    def step(self, gradient: Vector, state: Any) -> tuple[Vector, Any]:
        """Direction and new moments."""


@dataclass(frozen=True, kw_only=True)
class Plain(Direction):
    """The gradient itself."""

    def step(self, gradient: Vector, state: Any) -> tuple[Vector, Any]:
        """Direction and new moments."""
        return gradient, state


def debias(beta: float, time: Float[Tensor, "runs 1"]) -> Float[Tensor, "runs 1"]:
    """1 − βᵗ, the weight that an average from zero has gathered, to full precision."""
    if beta == 0:
        return torch.ones_like(time)
    return -torch.expm1(time * math.log(beta))


class Moments(NamedTuple):
    """Averages of the gradient and of its square, and how many it has seen."""

    first: Vector
    second: Vector
    time: Float[Tensor, "runs 1"]


@dataclass(frozen=True, kw_only=True)
class Adam(Direction):
    """Mean gradient over root mean square, both corrected for their start at zero.

        m⁺ = β₁ m + (1−β₁) g,   v⁺ = β₂ v + (1−β₂) g²
        d = m̂ / (√v̂ + ε)

    Args:
        beta1: β₁, memory of the mean.
        beta2: β₂, memory of the square.
        epsilon: ε, in units of the gradient.
        epsilon_at: "corrected" adds ε to √v̂ (the paper's main text and torch);
            "raw" adds it to √v before the correction (the paper's efficient form,
            TensorFlow and Keras).

    Source: Kingma and Ba 2015, Algorithm 1 and the end of section 2.
    """

    beta1: Decay = 0.9
    beta2: Decay = 0.999
    epsilon: Positive = 1e-8
    epsilon_at: Literal["corrected", "raw"] = "corrected"

    def init(self, gradient: Vector) -> Moments:
        """Moments before the first gradient, given any tensor of its shape."""
        zeros = torch.zeros_like(gradient)
        return Moments(zeros, zeros, zeros[:, :1])

    def step(self, gradient: Vector, state: Moments) -> tuple[Vector, Moments]:
        """Direction and new moments."""
        time = state.time + 1
        # Fused operations: on networks each one reads and writes all parameters.
        first = torch.lerp(state.first, gradient, 1 - self.beta1)
        second = torch.addcmul(
            self.beta2 * state.second, gradient, gradient, value=1 - self.beta2
        )
        bias1, bias2 = debias(self.beta1, time), debias(self.beta2, time).sqrt()
        root = second.clamp_min(SMALLEST_SQUARE).sqrt()
        correction = bias1 / bias2
        epsilon = self.epsilon * correction
        if self.epsilon_at == "corrected":
            epsilon = self.epsilon * bias1
        direction = first / torch.addcmul(epsilon, root, correction)
        return direction, Moments(first, second, time)


class Square(NamedTuple):
    """Average of the gradient's square."""

    second: Vector


@dataclass(frozen=True, kw_only=True)
class RMSProp(Direction):
    """Gradient over root mean square, not corrected for its start at zero.

        v⁺ = β v + (1−β) g²
        d = g / (√v + ε)

    Args:
        beta: β, memory of the square.
        epsilon: ε, in units of the gradient.

    Source: Tieleman and Hinton 2012, lecture 6.5.
    """

    beta: Decay = 0.99
    epsilon: Positive = 1e-8

    def init(self, gradient: Vector) -> Square:
        """Moments before the first gradient, given any tensor of its shape."""
        return Square(torch.zeros_like(gradient))

    def step(self, gradient: Vector, state: Square) -> tuple[Vector, Square]:
        """Direction and new moments."""
        second = self.beta * state.second + (1 - self.beta) * gradient * gradient
        root = second.clamp_min(SMALLEST_SQUARE).sqrt()
        return gradient / (root + self.epsilon), Square(second)


Directions = Direction | tuple[Direction, Direction]


def pair(directions: Directions) -> tuple[Direction, Direction]:
    """The direction of each player."""
    if isinstance(directions, Direction):
        return directions, directions
    return directions


def init_joint(directions: Directions, oracle: Oracle, z: Vector) -> Any:
    """Moments of both players, for methods that move them together."""
    if isinstance(directions, Direction):
        return directions.init(z)
    return init_players(directions, oracle, z)


def step_joint(
    directions: Directions, oracle: Oracle, field: Vector, state: Any
) -> tuple[Vector, Any]:
    """Direction and new moments of both players, from the joint field."""
    if isinstance(directions, Direction):  # entry by entry, so one call serves both
        return directions.step(field, state)
    turned = [
        direction.step(part, moments)
        for direction, part, moments in zip(
            directions, oracle.split(field), state, strict=True
        )
    ]
    return oracle.join(turned[0][0], turned[1][0]), (turned[0][1], turned[1][1])


def init_players(directions: Directions, oracle: Oracle, z: Vector) -> tuple[Any, Any]:
    """Moments of each player, for methods that move them one after the other."""
    x, y = oracle.split(z)
    of_x, of_y = pair(directions)
    return of_x.init(x), of_y.init(y)


def sizes(step_size: Size | tuple[Size, Size]) -> tuple[Size, Size]:
    """The step size of each player."""
    if isinstance(step_size, float):
        return step_size, step_size
    return step_size


def move_x(
    algorithm: Any, oracle: Oracle, z: Joint, moments: Any, gradient: Vector
) -> tuple[Joint, Any]:
    """Step of x alone, by the algorithm's direction and step size.

    Returns:
        New z and new moments of both players.
    """
    x, y = oracle.split(z)
    d, of_x = pair(algorithm.direction)[0].step(gradient, moments[0])
    z = oracle.join(x - sizes(algorithm.step_size)[0] * d, y)
    return oracle.project(z), (of_x, moments[1])


def move_y(
    algorithm: Any, oracle: Oracle, z: Joint, moments: Any, gradient: Vector
) -> tuple[Joint, Any]:
    """Step of y alone, by the algorithm's direction and step size.

    Returns:
        New z and new moments of both players.
    """
    x, y = oracle.split(z)
    d, of_y = pair(algorithm.direction)[1].step(gradient, moments[1])
    z = oracle.join(x, y - sizes(algorithm.step_size)[1] * d)
    return oracle.project(z), (moments[0], of_y)

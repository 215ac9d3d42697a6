"""Directions: what a gradient becomes before it is multiplied by the step size.

First-order methods have one direction for both players, or a pair (x, y); Adam-GDA,
ExtraAdam and OptimisticAdam are such combinations. All operations can be
differentiated, which unrolling needs.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.description import Description
from mmbench.core.domains import Decay, Domain, Positive
from mmbench.core.oracle import Oracle, Size
from mmbench.core.priors import GRADIENT_STEPS, UNIT_STEPS, LogUniform
from mmbench.core.vectors import Joint, Vector

# Second moments below this are raised to it: the root (1e-15) is far smaller than every
# epsilon in use, and its derivative stays finite, as unrolling needs.
SMALLEST_SQUARE = 1e-30


@dataclass(frozen=True, kw_only=True)
class Direction(Description, ABC):
    """A rule that turns a gradient into a direction; its state are moments.

    Attributes:
        step_prior: prior of a step size that multiplies the direction, for tuning.
    """

    step_prior: ClassVar[LogUniform] = GRADIENT_STEPS

    def init(self, gradient: Vector) -> Any:
        """Return the first moments, given any tensor of the gradient's shape."""
        return ()

    @abstractmethod
    def step(self, gradient: Vector, state: Any) -> tuple[Vector, Any]:
        """Return the direction and the new moments."""


@dataclass(frozen=True, kw_only=True)
class Plain(Direction):
    """The gradient itself."""

    def step(self, gradient: Vector, state: Any) -> tuple[Vector, Any]:
        """Return the direction and the new moments."""
        return gradient, state


def bias_correction(
    beta: float, time: Float[Tensor, "runs 1"]
) -> Float[Tensor, "runs 1"]:
    """Return 1 − βᵗ, by which an average that starts at zero is divided.

    It is exact to rounding, also for β close to 1.
    """
    if beta == 0:
        return torch.ones_like(time)
    return -torch.expm1(time * math.log(beta))


class Moments(NamedTuple):
    """Averages of the gradient and of its square, and the number of gradients."""

    first: Vector
    second: Vector
    time: Float[Tensor, "runs 1"]


@dataclass(frozen=True, kw_only=True)
class Adam(Direction):
    """Adam: the mean gradient over its root mean square, both bias-corrected.

        m⁺ = β₁ m + (1−β₁) g,   v⁺ = β₂ v + (1−β₂) g²
        d = m̂ / (√v̂ + ε)

    Args:
        beta1: β₁, decay of the mean.
        beta2: β₂, decay of the mean square.
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

    step_prior = UNIT_STEPS

    def init(self, gradient: Vector) -> Moments:
        """Return the first moments, given any tensor of the gradient's shape."""
        zeros = torch.zeros_like(gradient)
        return Moments(zeros, zeros, zeros[:, :1])

    def step(self, gradient: Vector, state: Moments) -> tuple[Vector, Moments]:
        """Return the direction and the new moments."""
        time = state.time + 1
        # Few operations, since each one reads and writes all parameters of a network.
        first = torch.lerp(state.first, gradient, 1 - self.beta1)
        second = torch.addcmul(
            self.beta2 * state.second, gradient, gradient, value=1 - self.beta2
        )
        bias1 = bias_correction(self.beta1, time)
        bias2 = bias_correction(self.beta2, time).sqrt()
        root = second.clamp_min(SMALLEST_SQUARE).sqrt()
        correction = bias1 / bias2
        epsilon = self.epsilon * correction
        if self.epsilon_at == "corrected":
            epsilon = self.epsilon * bias1
        direction = first / torch.addcmul(epsilon, root, correction)
        return direction, Moments(first, second, time)


class Square(NamedTuple):
    """The average of the squared gradient."""

    second: Vector


@dataclass(frozen=True, kw_only=True)
class RMSProp(Direction):
    """RMSProp: the gradient over its root mean square, without bias correction.

        v⁺ = β v + (1−β) g²
        d = g / (√v + ε)

    Args:
        beta: β, decay of the mean square.
        epsilon: ε, in units of the gradient.

    Source: Tieleman and Hinton 2012, lecture 6.5.
    """

    beta: Decay = 0.99
    epsilon: Positive = 1e-8

    step_prior = UNIT_STEPS

    def init(self, gradient: Vector) -> Square:
        """Return the first moments, given any tensor of the gradient's shape."""
        return Square(torch.zeros_like(gradient))

    def step(self, gradient: Vector, state: Square) -> tuple[Vector, Square]:
        """Return the direction and the new moments."""
        second = self.beta * state.second + (1 - self.beta) * gradient * gradient
        root = second.clamp_min(SMALLEST_SQUARE).sqrt()
        return gradient / (root + self.epsilon), Square(second)


class Velocity(NamedTuple):
    """The sum of past gradients; its imaginary part is () where momentum is real."""

    real: Vector
    imaginary: Vector | tuple


@dataclass(frozen=True, kw_only=True)
class Momentum(Direction):
    """Momentum: past gradients count on, with a factor that may be negative or complex.

        m⁺ = β e^(iφ) m + g,   d = Re m⁺

    With φ = 0 this is the heavy ball. A negative β lets alternating steps converge on
    bilinear games, and a complex one simultaneous steps, which no real β does.

    Args:
        beta: β, above −1 and below 1.
        phase: φ, from 0 to π, where π is the sign of β turned round.

    Source: Polyak 1964; negative: Gidel, Askari Hemmat, Pezeshki, Le Priol, Huang,
        Lacoste-Julien and Mitliagkas 2019; complex: Lorraine, Acuna, Vicol and Duvenaud
        2022.
    """

    beta: Annotated[float, Domain(low=-1, high=1, open_low=True, open_high=True)] = -0.5
    phase: Annotated[float, Domain(low=0, high=math.pi)] = 0.0

    def init(self, gradient: Vector) -> Velocity:
        """Return the first moments, given any tensor of the gradient's shape."""
        zeros = torch.zeros_like(gradient)
        return Velocity(zeros, zeros.clone() if self.phase else ())

    def step(self, gradient: Vector, state: Velocity) -> tuple[Vector, Velocity]:
        """Return the direction and the new moments."""
        if isinstance(state.imaginary, tuple):
            real = self.beta * state.real + gradient
            return real, Velocity(real, ())
        along = self.beta * math.cos(self.phase)
        across = self.beta * math.sin(self.phase)
        real = along * state.real - across * state.imaginary + gradient
        imaginary = across * state.real + along * state.imaginary
        return real, Velocity(real, imaginary)


Directions = Direction | tuple[Direction, Direction]


def direction_pair(directions: Directions) -> tuple[Direction, Direction]:
    """Return the direction of each player."""
    if isinstance(directions, Direction):
        return directions, directions
    return directions


def init_joint(directions: Directions, oracle: Oracle, z: Vector) -> Any:
    """Return the first moments, for methods that move both players together."""
    if isinstance(directions, Direction):
        return directions.init(z)
    return init_players(directions, oracle, z)


def step_joint(
    directions: Directions, oracle: Oracle, field: Vector, state: Any
) -> tuple[Vector, Any]:
    """Return the direction and new moments of both players, from the joint field."""
    if isinstance(directions, Direction):  # acts entry by entry, so one call suffices
        return directions.step(field, state)
    at_x, at_y = oracle.split(field)
    d_x, of_x = directions[0].step(at_x, state[0])
    d_y, of_y = directions[1].step(at_y, state[1])
    return oracle.join(d_x, d_y), (of_x, of_y)


def init_players(directions: Directions, oracle: Oracle, z: Vector) -> tuple[Any, Any]:
    """Return the first moments, for methods that move one player after the other."""
    x, y = oracle.split(z)
    of_x, of_y = direction_pair(directions)
    return of_x.init(x), of_y.init(y)


def step_size_pair(step_size: Size | tuple[Size, Size]) -> tuple[Size, Size]:
    """Return the step size of each player."""
    if isinstance(step_size, tuple):
        return step_size
    return step_size, step_size


def move(
    player: Literal["x", "y"],
    algorithm: Any,
    oracle: Oracle,
    z: Joint,
    moments: tuple[Any, Any],
    gradient: Vector,
) -> tuple[Joint, tuple[Any, Any]]:
    """Make a step of one player while the other stays.

    Args:
        player: player that moves.
        algorithm: algorithm with a `direction` and a `step_size`.
        oracle: oracle of the game.
        z: current iterates.
        moments: moments of both players.
        gradient: gradient of the player's loss in its own variables.

    Returns:
        New z and new moments of both players.
    """
    x, y = oracle.split(z)
    (d_x, d_y), (size_x, size_y) = (
        direction_pair(algorithm.direction),
        step_size_pair(algorithm.step_size),
    )
    of_x, of_y = moments
    if player == "x":
        d, of_x = d_x.step(gradient, of_x)
        x = x - size_x * d
    else:
        d, of_y = d_y.step(gradient, of_y)
        y = y - size_y * d
    return oracle.project(oracle.join(x, y)), (of_x, of_y)

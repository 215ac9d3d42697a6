"""The players of a user's game: vectors, tensors or modules on one flat vector."""

import copy
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmbench.core.errors import DescriptionError
from mmbench.core.printable import shorten
from mmbench.core.vectors import Layout

_SEEDS = 2**62


class Player(NamedTuple):
    """A player as the user gave it.

    Args:
        value: a tensor, tensors by name or a module, with the first values; or a
            function that makes one of these for each run.
        spread: standard deviation of the normal noise that is added to first values.
        is_alone: whether only the length of a vector was given.
    """

    value: Any
    spread: float
    is_alone: bool

    @property
    def is_drawn(self) -> bool:
        """Whether each run has first values of its own."""
        return not isinstance(self.value, nn.Module | Tensor | Mapping)

    def first(self, generator: torch.Generator) -> Any:
        """Return the first values of one run, before noise is added.

        Args:
            generator: random generator of the run.
        """
        if not self.is_drawn:
            return self.value
        seed = int(torch.randint(_SEEDS, (), generator=generator))
        return self._made(seed)

    def template(self) -> Any:
        """Return values of the form of every run's, which the caller may change."""
        return copy.deepcopy(self._made(0) if self.is_drawn else self.value)

    def _made(self, seed: int) -> Any:
        """Call the user's function with torch's global generator at a seed.

        Raises:
            DescriptionError: when it makes anything else.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = self.value()
        if not isinstance(made, nn.Module | Tensor | Mapping):
            raise DescriptionError(
                f"{_name(self.value)}() must return a module, a tensor or a dict of "
                f"tensors; got {shorten(made)}."
            )
        return made


def player_of(which: str, dim: int | None, given: Any, spread: float | None) -> Player:
    """Return the player that a user's arguments stand for.

    Args:
        which: "x" or "y", for messages.
        dim: length of a vector, where only that is given.
        given: tensor, dict of tensors, module, or function that makes one.
        spread: deviation of first values; None is 1 for a vector of given length and 0
            otherwise.

    Raises:
        DescriptionError: when they do not fit.
    """
    if (dim is None) == (given is None):
        raise DescriptionError(
            f"{which} must be given by its length, dim_{which}=, or by its first "
            f"values, {which}=; got {'neither' if dim is None else 'both'}."
        )
    if dim is not None:
        if type(dim) is not int or dim < 1:
            raise DescriptionError(
                f"dim_{which} must be a whole number of at least 1; got {shorten(dim)}."
            )
        return Player(torch.zeros(dim), 1.0 if spread is None else spread, True)
    value = _frozen(which, given)
    return Player(value, 0.0 if spread is None else spread, False)


def _frozen(which: str, given: Any) -> Any:
    """Return a copy of first values, or the function that makes them."""
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    if isinstance(given, Mapping):
        return {name: _frozen(which, value) for name, value in given.items()}
    if isinstance(given, Tensor):
        if not given.is_floating_point():
            raise DescriptionError(
                f"{which} must hold floating-point numbers; got {given.dtype}."
            )
        return given.detach().clone()
    if callable(given):
        return given
    try:
        return torch.as_tensor(given, dtype=torch.get_default_dtype()).clone()
    except (TypeError, ValueError, RuntimeError):
        raise DescriptionError(
            f"{which} must be a tensor, a dict of tensors, a module, or a function "
            f"that makes one; got {shorten(given)}."
        ) from None


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", type(value).__name__))


def parameters(value: Any) -> dict[str, Tensor]:
    """Return the tensors that a player chooses, by name; of a tensor the name is ""."""
    if isinstance(value, nn.Module):
        return {
            name: parameter.detach()
            for name, parameter in value.named_parameters()
            if parameter.requires_grad
        }
    return dict(value) if isinstance(value, Mapping) else {"": value.detach()}


class Form:
    """How the tensors of a player lie on its flat vector.

    Args:
        which: "x" or "y", for messages.
        value: values of the player.

    Attributes:
        shapes: name to shape of each tensor.
        size: length of the vector.

    Raises:
        DescriptionError: when the player has nothing to choose.
    """

    def __init__(self, which: str, value: Any) -> None:
        self.shapes = {
            name: tuple(tensor.shape) for name, tensor in parameters(value).items()
        }
        # One tensor lies as it is; several are padded, as those of networks are.
        self._layout = Layout(self.shapes) if len(self.shapes) > 1 else None
        count = sum(map(math.prod, self.shapes.values()))
        self.size = self._layout.size if self._layout else count
        if not count:
            raise DescriptionError(
                f"{which} must have a trainable parameter; {type(value).__name__} has "
                "none."
            )

    def split(self, flat: Float[Tensor, "runs size"]) -> dict[str, Tensor]:
        """Return each tensor by its name, with the leading `runs` axis."""
        if self._layout:
            return {
                name: tensor.reshape(len(flat), *self.shapes[name])
                for name, tensor in self._layout.split(flat).items()
            }
        ((name, shape),) = self.shapes.items()
        return {name: flat.reshape(len(flat), *shape)}

    def join(self, value: Any) -> Float[Tensor, " size"]:
        """Return the tensors of a player as one vector in float64, on the CPU."""
        tensors = parameters(value)
        return self.pack({name: one.cpu().double() for name, one in tensors.items()})

    def pack(self, tensors: dict[str, Tensor]) -> Float[Tensor, " size"]:
        """Return tensors as one vector.

        Raises:
            DescriptionError: when they are not of this form.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if shapes != self.shapes:
            raise DescriptionError(
                "A player must have tensors of the same names and shapes in each run; "
                f"got {shorten(shapes)} and {shorten(self.shapes)}."
            )
        if self._layout:
            return self._layout.join(tensors)
        (tensor,) = tensors.values()
        return tensor.reshape(-1)

    def is_used(self) -> Float[Tensor, " size"]:
        """Return ones where a tensor lies, and zeros between tensors."""
        return self.join({name: torch.ones(s) for name, s in self.shapes.items()})

"""Games whose gradients have additive noise."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.game import Game


class Noise(NamedTuple):
    """A minibatch: what is added to the gradient of f, shape (..., dim)."""

    added: Float[Tensor, "*runs dim"]


class NoisyGame(Game):
    """A game that may have additive normal noise in both gradients.

    A minibatch is a vector n, and its f is that of the game plus n'z, so that all
    oracle calls that share a minibatch see the same noise. The expected game counts
    as the only term of a finite sum, and metrics of the field measure it; methods may
    not.
    """

    shows_terms = False

    _noise: float = 0.0

    def _add_noise(self, deviation: float) -> None:
        """Let every entry of the gradients have noise of a standard deviation."""
        if deviation:
            self._noise, self.sample_size = deviation, self.dim
            self.batch_size = self.terms = 1

    def draw(self, generator: torch.Generator, count: int) -> Noise:
        """Draw the noise of `count` minibatches."""
        # In float64, so that both precisions have the same noise.
        drawn = torch.randn(count, self.dim, generator=generator, dtype=torch.float64)
        return Noise((self._noise * drawn).to(self.dtype))

    def all_terms(self) -> Noise:
        """Return the minibatch without noise."""
        return Noise(torch.zeros(self.dim, device=self.device, dtype=self.dtype))

    def _noisy(self, f: Tensor, x: Tensor, y: Tensor, sample: Noise | None) -> Tensor:
        """Return f with the noise of a minibatch."""
        if sample is None:
            return f
        at_x, at_y = sample.added.split([self.dim_x, self.dim_y], dim=1)
        return f + (at_x * x).sum(1) + (at_y * y).sum(1)

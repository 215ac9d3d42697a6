"""Games whose generators draw from given distributions in the plane."""

from collections.abc import Callable

import torch
from measuring import measure

from mmbench.core.game import Game
from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


class Sampler(Game):
    """A game whose generator is a given function of a generator and a count."""

    dim_x = dim_y = 1
    batch_size = 64
    dtype = torch.float64

    def __init__(self, draws: list[Callable[[torch.Generator, int], torch.Tensor]]):
        self._draws = draws
        self._real = TASKS.build("four_gaussians[batch=64]").build(PLACEMENT)
        self.modes, self.mode_weights = self._real.modes, self._real.mode_weights
        self.deviation = self._real.deviation
        self.draw_real = self._real.draw_real

    def losses(self, x, y, sample, *, train=True):
        """Raise, since no test needs losses."""
        raise NotImplementedError

    def generate(self, z, count, seeds):
        """Draw from the distribution that each run's z names."""
        return torch.stack(
            [
                self._draws[int(which)](generator(seed, "test"), count)
                for which, seed in zip(z[:, 0], seeds, strict=True)
            ]
        )


def mixture(shares: list[float], spread: float = 0.01) -> Callable:
    """Return a sampler of the modes with these shares and standard deviation."""

    def draw(random: torch.Generator, count: int) -> torch.Tensor:
        modes = Sampler([]).modes.double()
        which = torch.multinomial(
            torch.tensor(shares), count, replacement=True, generator=random
        )
        noise = torch.randn(count, 2, generator=random, dtype=torch.float64)
        return modes[which] + spread * noise

    return draw


def measure_samples(metric: str, *draws: Callable) -> dict[str, list[float]]:
    """Return the columns of a metric, one run for each distribution."""
    z = torch.zeros(len(draws), 2, dtype=torch.float64)
    z[:, 0] = torch.arange(len(draws))
    return measure(metric, Sampler(list(draws)), z)

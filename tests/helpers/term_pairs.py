"""A step with every pair of terms of a finite sum, for exact expectations."""

import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.vectors import Joint
from mmbench.tasks import TASKS
from mmbench.tasks.finite_sum_bilinear import FiniteSumBilinearGame, Terms
from mmbench.testing.tools import PLACEMENT


class GivenTerms(OracleState):
    """Hands out minibatches that are given, each of one term for each run."""

    def __init__(self, game: FiniteSumBilinearGame, batches: list[torch.Tensor]):
        super().__init__(game, tuple(range(len(batches[0]))))
        self._batches = iter(batches)

    def resample(self) -> None:
        """Take the next given minibatch."""
        self.sample = Terms(next(self._batches)[:, None])


def all_pairs(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the terms of two minibatches in all n² ways, a run each."""
    first, second = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    return first.reshape(-1), second.reshape(-1)


def step_of_all_pairs(words: str, n: int, linear: str = "none") -> tuple[Joint, Joint]:
    """Return one point, and where a step leads from it with every pair of terms."""
    task = TASKS.build(f"finite_sum_bilinear[terms={n},linear={linear}]")
    game = task.build(PLACEMENT)
    pairs = all_pairs(n)
    random = torch.Generator().manual_seed(4)
    z = torch.randn(1, 2 * n, generator=random, dtype=torch.float64)
    z = z.expand(n * n, -1).contiguous()
    algorithm, oracle = ALGORITHMS.build(words), Oracle(GivenTerms(game, [*pairs]))
    state = algorithm.init(oracle, z)
    oracle.resample()
    return z, algorithm.step(oracle, z, state)[0]

"""Products with matrices, one for each run, for tests of solvers."""

import torch


class Product:
    """The product A v, which counts how often each run asked for it."""

    def __init__(self, a: torch.Tensor) -> None:
        self.a, self.asked = a, torch.zeros(len(a), dtype=torch.int64)

    def __call__(self, v: torch.Tensor, on: torch.Tensor | None) -> torch.Tensor:
        self.asked += 1 if on is None else on
        return (self.a @ v[:, :, None])[:, :, 0]

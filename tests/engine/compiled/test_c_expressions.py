"""C expressions compute what torch does; what would mix runs is refused."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from mmbench.engine.compiled import c_program
from mmbench.engine.compiled.c_loop import Loop, loop_over_numbers
from mmbench.engine.compiled.c_operations import UnsupportedError

Step = Callable[[Tensor, Tensor, Tensor, Tensor], Any]


def loop_of(step: Step, dtype: torch.dtype = torch.float64) -> Loop:
    """Return a loop that changes z (runs, 3) and alive, and reads sizes (runs, 1)."""
    examples = lambda runs: (
        torch.randn(runs, 3, dtype=dtype),
        torch.ones(runs, dtype=torch.bool),
        torch.rand(runs, 1, dtype=dtype),
        torch.tensor(0),
    )
    return loop_over_numbers(step, examples, changed=2)


def fill_in_place(z: Tensor) -> Tensor:
    """Return a function of tensors that are written into."""
    row = torch.full((1, 3), 2.0, dtype=z.dtype)
    row[:, 1:] = -0.5
    count = torch.zeros_like(z)
    count += z > 0
    return z * row + count


def write_column(z: Tensor) -> Tensor:
    """Write into a column, which changes the whole tensor."""
    out = z - 0.1
    out[:, 0] *= 0.5
    return out


def write_sum(z: Tensor) -> Tensor:
    """Write into a sum of one number, which does not change the number."""
    x = z[:, :1]
    total = x.sum(1)
    total += 1
    return z + x + total[:, None]


CHANGES = {
    "a column written": lambda z, size, k: write_column(z),
    "a sum written": lambda z, size, k: write_sum(z),
    "scaled": lambda z, size, k: z - size * z,
    "number of the step": lambda z, size, k: z + k,
    "functions": lambda z, size, k: torch.tanh(z) + torch.expm1(-z * z).sin(),
    "logarithms": lambda z, size, k: torch.log1p(z.abs()) - (z * z + 1).log(),
    "roots and powers": lambda z, size, k: (z**2 + size).sqrt() - z.abs() ** 1.5,
    "softplus": lambda z, size, k: softplus(3 * z) - torch.sigmoid(z),
    "norm": lambda z, size, k: z / (1 + z.norm(dim=1, keepdim=True)),
    "largest": lambda z, size, k: z / (1 + z.abs().amax(1))[:, None],
    "sum": lambda z, size, k: z - z.sum(1, keepdim=True) / 4,
    "parts": lambda z, size, k: torch.cat((z[:, 2:], -z[:, :2]), dim=1),
    "bounds": lambda z, size, k: (3 * z).clamp(-1, 0.5),
    "choice": lambda z, size, k: torch.where((z > 0) & ~(z > 1), 2 * z, z - size),
    "written": lambda z, size, k: fill_in_place(z),
    "softplus, far out": lambda z, size, k: softplus(z / (k + 1) * 40) / 40,
    "lerp": lambda z, size, k: z.lerp(z * z, 0.25),
    "fractions": lambda z, size, k: torch.addcdiv(z, z, 1 + z * z, value=0.5),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CHANGES)
def test_a_loop_computes_what_torch_does(name: str, dtype: torch.dtype) -> None:
    """A loop computes what torch does, whether its runs fill its lanes or not."""
    step = lambda z, alive, size, k: (CHANGES[name](z, size, k), alive & alive)
    loop = loop_of(step, dtype)
    generator = torch.Generator().manual_seed(0)
    for runs in (1, 5, 64, 130):
        z = torch.randn(runs, 3, generator=generator, dtype=dtype)
        size = torch.rand(runs, 1, generator=generator, dtype=dtype)
        alive = torch.ones(runs, dtype=torch.bool)
        after, path = loop([z, alive, size], 3, min(runs, 2))
        for k in range(3):
            torch.testing.assert_close(path[k], z[:2])
            z = CHANGES[name](z, size, k)
        torch.testing.assert_close(after[0], z)
        assert bool(after[1].all())


def test_nan_and_infinity_are_what_they_are() -> None:
    """Comparisons, bounds and maxima of NaN and infinity are those of torch."""

    def change(z: Tensor) -> Tensor:
        bounded = z.clamp(-1, 1)
        top = z.abs().amax(1, keepdim=True)
        return torch.where(top <= 5, bounded, z * 0)

    loop = loop_of(lambda z, alive, size, k: (change(z), alive & (z[:, 0] == z[:, 0])))
    nan, inf = torch.nan, torch.inf
    z = torch.tensor(
        [[nan, 1, 2], [1, nan, 3], [1, 2, nan], [inf, 1, 1], [-inf, 0, 1], [4, 3, 9]],
        dtype=torch.float64,
    )
    alive = torch.ones(6, dtype=torch.bool)
    after, _ = loop([z, alive, torch.ones(6, 1, dtype=torch.float64)], 1, 0)
    torch.testing.assert_close(after[0], change(z), equal_nan=True)
    assert after[1].tolist() == [False, True, True, True, True, True]


def test_a_loop_leaves_what_it_is_given() -> None:
    """The loop does not write into its arguments."""
    loop = loop_of(lambda z, alive, size, k: (z + 1, alive & alive))
    z = torch.zeros(70, 3, dtype=torch.float64)
    alive = torch.ones(70, dtype=torch.bool)
    loop([z, alive, z[:, :1].contiguous()], 4, 0)
    assert not z.any()


MIXING = {
    "mean over runs": lambda z: z - z.sum(0) / len(z),
    "largest of all": lambda z: z / z.amax(),
    "first run": lambda z: z + z[:1],
    "one run": lambda z: z + z[0],
    "sum of all": lambda z: z * z.sum(),
    "reversed": lambda z: z.flip(0),
    "shifted": lambda z: torch.cat((z[1:], z[:1])),
    "number of the run": lambda z: z + torch.arange(len(z))[:, None],
    "with each other": lambda z: z + (z[:, :1] - z[:, :1].view(1, -1)).sum(1)[:, None],
    "product of all": lambda z: z @ (z.T @ z),
    "running sum": lambda z: z.cumsum(0),
    "sorted": lambda z: z.sort(dim=0).values,
    "how many": lambda z: z / len(z),
    "root of how many": lambda z: z / len(z) ** 0.5,
    "how many numbers": lambda z: z / z.numel(),
    "other rows": lambda z: z + z[:, :2].reshape(2, -1).sum(0)[:, None],
    "cut off": lambda z: (3 * z).long().to(z.dtype),
    "how many, hidden": lambda z: z * (1 + 1e-3 * math.sin(len(z))),
    "numbers of a run": lambda z: z + z[0, 0].tolist(),
    "bytes": lambda z: z + ((z > 0).byte() - 1),
    "largest truth": lambda z: z + (z > 0).amax(1, keepdim=True),
    "largest whole": lambda z: z + (z > 0).long().clamp(0, 5),
    "a constant for each run": lambda z, own=torch.randn(1009, 1): z + own[: len(z)],
    "other floats": lambda z: (z.float() + 1).double(),
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_runs_is_refused(name: str) -> None:
    """A step that mixes runs makes no loop."""
    step = lambda z, alive, size, k: (MIXING[name](z), alive & alive)
    with pytest.raises(UnsupportedError):
        loop_of(step)


def test_long_vectors_are_refused() -> None:
    """A step with more than 64 numbers of a run in a tensor makes no loop."""
    examples = lambda runs: (
        torch.randn(runs, 65),
        torch.ones(runs, dtype=torch.bool),
        torch.tensor(0),
    )
    with pytest.raises(UnsupportedError, match="65"):
        loop_over_numbers(lambda z, alive, k: (z + 1, ~alive), examples, changed=2)


def test_products_of_whole_numbers_need_room() -> None:
    """Products of integers are refused in float32, where integers have 32 bits."""
    change = lambda z: z + ((z > 0).long() * (z > 1).long() * 9).to(z.dtype)
    step = lambda z, alive, size, k: (change(z), alive & alive)
    loop_of(step, torch.float64)
    with pytest.raises(UnsupportedError, match="large whole numbers"):
        loop_of(step, torch.float32)


@pytest.mark.parametrize(
    ("name", "named"),
    [("MAX_NUMBERS", "numbers in all"), ("MAX_STATEMENTS", "statements")],
)
def test_large_programs_are_refused(
    name: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program for which a C compiler would take minutes is refused."""
    monkeypatch.setattr(c_program, name, 2)
    with pytest.raises(UnsupportedError, match=named):
        loop_of(lambda z, alive, size, k: (torch.tanh(z * z - k).exp(), alive & alive))

"""Loops over arrays are compiled once, whatever steps they are a part of."""

import pytest
import torch
from torch import Tensor

from mmbench.engine.compiled import c_kernels
from mmbench.engine.compiled.c_loop import loop_over_arrays

DIM = 20


def examples(runs: int) -> list[Tensor]:
    """Return iterates, a mask and the number of the step."""
    z = torch.linspace(-1, 1, runs * DIM).reshape(runs, DIM)
    return [z, torch.ones(runs, dtype=torch.bool), torch.tensor(0)]


def bent(z: Tensor) -> Tensor:
    """Return what takes several loops: a row is used by all its entries."""
    sums = z.cos().sum(1, keepdim=True)
    return (z + sums) * 0.125


def once(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
    return [bent(z), alive.clone()]


def twice(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
    return [bent(bent(z)), alive.clone()]


def thrice(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
    return [bent(bent(bent(z))), alive.clone()]


@pytest.fixture(name="compiled")
def fixture_compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the text of all that is compiled is appended."""
    texts: list[str] = []
    compile_functions = c_kernels.compile_functions

    def noted(source: str, *rest):  # type: ignore[no-untyped-def]
        texts.append(source)
        return compile_functions(source, *rest)

    monkeypatch.setattr(c_kernels, "compile_functions", noted)
    monkeypatch.setattr(c_kernels, "_compiled", {})
    return texts


def test_loops_of_another_step_are_not_compiled_again(compiled: list[str]) -> None:
    loop_over_arrays([once], examples, 2, 0, 5)
    assert compiled
    compiled.clear()
    loop = loop_over_arrays([once], examples, 2, 0, 7)
    assert not compiled
    z, alive, number = examples(7)
    (found, _), _ = loop([z, alive], 1, 0)
    torch.testing.assert_close(found, once(z, alive, number)[0])


def test_equal_loops_of_a_step_are_one_kernel(compiled: list[str]) -> None:
    # The last loop of `once` writes into the state that it reads: another kernel.
    loop_over_arrays([twice], examples, 2, 0, 5)
    compiled.clear()
    loop_over_arrays([thrice], examples, 2, 0, 5)
    assert not compiled


def test_kernels_of_doubles_are_others(compiled: list[str]) -> None:
    loop_over_arrays([once], examples, 2, 0, 5)
    compiled.clear()

    def doubles(runs: int) -> list[Tensor]:
        z, *others = examples(runs)
        return [z.double(), *others]

    loop_over_arrays([once], doubles, 2, 0, 5)
    assert any("typedef double real" in text for text in compiled)

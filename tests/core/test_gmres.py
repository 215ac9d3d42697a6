"""Batched GMRES against dense solutions, and its stops."""

import pytest
import torch
from products import Product

from mmbench.core.gmres import MAX_BASIS, gmres

RUNS, SIZE = 6, 8


@pytest.fixture
def systems() -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices of any kind, with 1 to `RUNS` dimensions beside the identity."""
    random = torch.Generator().manual_seed(1)
    a = torch.randn(RUNS, SIZE, SIZE, generator=random, dtype=torch.float64)
    for run in range(RUNS):
        a[run, run + 1 :] = torch.eye(SIZE, dtype=torch.float64)[run + 1 :]
    return a, torch.randn(RUNS, SIZE, generator=random, dtype=torch.float64)


def test_solves_like_a_dense_solver(systems: tuple) -> None:
    """The solution is that of torch.linalg.solve, run by run, in SIZE products."""
    a, b = systems
    product = Product(a)
    found = gmres(product, b, tolerance=1e-13, limit=50)
    assert found.solved.all()
    assert torch.equal(found.iterations, product.asked)
    assert found.iterations.max() <= SIZE
    assert len(set(found.iterations.tolist())) > 2
    expected = torch.linalg.solve(a, b)
    torch.testing.assert_close(found.x, expected, rtol=1e-9, atol=1e-10)


def test_residuals_are_minimal_and_meet_the_tolerance(systems: tuple) -> None:
    """After k products each residual is the least over the Krylov space of k powers."""
    a, b = systems
    for k in (1, 2, 3):
        found = gmres(Product(a), b, tolerance=1e-15, limit=k)
        for run in range(k, RUNS):  # those of more than k dimensions
            powers = torch.stack(
                [torch.linalg.matrix_power(a[run], i) @ b[run] for i in range(k)], 1
            )
            least = torch.linalg.lstsq(a[run] @ powers, b[run, :, None]).solution
            expected = b[run] - a[run] @ powers @ least[:, 0]
            residual = b[run] - a[run] @ found.x[run]
            torch.testing.assert_close(residual, expected, rtol=1e-9, atol=1e-9)
    loose = gmres(Product(a), b, tolerance=0.3, limit=50)
    residual = (b - Product(a)(loose.x, loose.solved)).norm(dim=1)
    assert (residual <= 0.3001 * b.norm(dim=1)).all()
    assert loose.solved.all()
    assert (loose.iterations < torch.arange(2, RUNS + 2)).any()


def test_a_run_does_not_depend_on_the_others(systems: tuple) -> None:
    """A run by itself takes as many products and finds the same solution."""
    a, b = systems
    together = gmres(Product(a), b, tolerance=1e-9, limit=50)
    for run in range(RUNS):
        one = slice(run, run + 1)
        alone = gmres(Product(a[one]), b[one], tolerance=1e-9, limit=50)
        assert alone.iterations[0] == together.iterations[run]
        torch.testing.assert_close(alone.x[0], together.x[run], rtol=1e-12, atol=1e-13)


def test_warm_start_costs_one_product_and_may_end_there(systems: tuple) -> None:
    """From the exact solution there is no iteration, only the product for b - A x."""
    a, b = systems
    product, exact = Product(a), torch.linalg.solve(a, b)
    found = gmres(product, b, start=exact, tolerance=1e-8, limit=50)
    assert found.iterations.eq(0).all()
    assert product.asked.eq(1).all()
    assert torch.equal(found.x, exact)
    nudged = gmres(Product(a), b, start=exact + 1, tolerance=1e-12, limit=50)
    torch.testing.assert_close(nudged.x, exact, rtol=1e-9, atol=1e-10)


def test_a_basis_that_is_full_is_built_anew() -> None:
    """Beyond `MAX_BASIS` iterations one more product gives the residual."""
    random = torch.Generator().manual_seed(2)
    size = 3 * MAX_BASIS
    noise = torch.randn(2, size, size, generator=random, dtype=torch.float64)
    a = torch.eye(size, dtype=torch.float64) + 0.4 / size**0.5 * noise
    a[0] = torch.eye(size, dtype=torch.float64)
    b = torch.randn(2, size, generator=random, dtype=torch.float64)
    product = Product(a)
    found = gmres(product, b, tolerance=1e-14, limit=200)
    assert found.solved.all()
    assert torch.equal(found.iterations, product.asked)
    assert found.iterations[0] == 1
    assert MAX_BASIS + 1 < found.iterations[1] < 2 * MAX_BASIS
    expected = torch.linalg.solve(a, b)
    torch.testing.assert_close(found.x, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("more", [0, 1, 2, 9, MAX_BASIS, MAX_BASIS + 1, MAX_BASIS + 2])
def test_the_limit_holds_for_any_basis(more: int) -> None:
    """No product is spent on a basis that has no iteration."""
    limit, size = MAX_BASIS + more, 3 * MAX_BASIS
    random = torch.Generator().manual_seed(3)
    a = torch.randn(2, size, size, generator=random, dtype=torch.float64)
    a[1] = torch.eye(size, dtype=torch.float64)
    b = torch.randn(2, size, generator=random, dtype=torch.float64)
    product = Product(a)
    found = gmres(product, b, tolerance=1e-14, limit=limit)
    spent = limit - (limit % (MAX_BASIS + 1) == 0)
    assert found.iterations.tolist() == product.asked.tolist() == [spent, 1]
    assert found.solved.tolist() == [False, True]


def test_odd_right_hand_sides_stop_only_their_runs(systems: tuple) -> None:
    """Zero, NaN, infinite and tiny right-hand sides stop at once; others are solved."""
    a, b = systems
    clean = gmres(Product(a), b, tolerance=1e-10, limit=50)
    odd = b.clone()
    odd[0], odd[2], odd[3], odd[4] = 0, torch.nan, 1e-12 * b[3], torch.inf
    found = gmres(Product(a), odd, tolerance=1e-10, floor=1e-10, limit=50)
    assert found.iterations[[0, 2, 3, 4]].eq(0).all()
    assert found.x[[0, 2, 3, 4]].eq(0).all()
    assert found.solved.tolist() == [True, True, False, True, False, True]
    assert torch.equal(found.x[[1, 5]], clean.x[[1, 5]])


@pytest.mark.parametrize("limit", [2, 20])
def test_singular_matrices_end_their_runs(limit: int) -> None:
    """A run without a solution says so, keeps finite numbers and disturbs no other.

    The first matrix maps b to zero, the second is zero on a part of the space, and
    the third is regular but maps b to a vector that is orthogonal to it.
    """
    a = torch.zeros(3, 2, 2, dtype=torch.float64)
    a[0, 0, 1] = 1
    a[1, 0, 0] = 1
    a[2] = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    b = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    found = gmres(Product(a), b, tolerance=1e-12, limit=limit)
    assert found.solved.tolist() == [False, False, True]
    assert torch.isfinite(found.x).all()
    torch.testing.assert_close(found.x[2].tolist(), [0.0, 1.0], rtol=0, atol=1e-15)


def test_a_run_that_overflows_keeps_its_solution() -> None:
    """A run has broken down where its numbers overflow, by itself and in a batch."""
    diagonals = torch.tensor([[1e30] * 3, [1.0, 2.0, 3.0]])
    b = torch.tensor([[1e10, 2e10, 1e10], [1.0, 2.0, 1.0]])
    batch = gmres(lambda v, _: 1e15 * diagonals * v, b, tolerance=1e-6, limit=20)
    single = gmres(
        lambda v, _: 1e15 * diagonals[:1] * v, b[:1], tolerance=1e-6, limit=20
    )
    assert torch.equal(single.x[0], batch.x[0])
    assert torch.isfinite(batch.x).all()
    assert batch.solved.tolist() == [False, True]


def test_without_iterations_the_start_is_returned() -> None:
    a, b = torch.eye(2).expand(3, 2, 2), torch.ones(3, 2)
    found = gmres(Product(a), b, tolerance=1e-6, limit=0)
    assert torch.equal(found.x, torch.zeros(3, 2))
    assert found.iterations.tolist() == [0, 0, 0]

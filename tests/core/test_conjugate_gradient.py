"""Batched conjugate gradients against dense solutions, and their stops."""

import pytest
import torch
from products import Product

from mmbench.core.conjugate_gradient import conjugate_gradient
from mmbench.core.repetition import is_over

RUNS, SIZE = 6, 8


@pytest.fixture
def systems() -> tuple[torch.Tensor, torch.Tensor]:
    """Positive definite matrices of growing condition, and right-hand sides."""
    random = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(
        torch.randn(RUNS, SIZE, SIZE, generator=random, dtype=torch.float64)
    ).Q
    values = torch.stack([torch.logspace(0, i / 2, SIZE) for i in range(RUNS)]).double()
    a = basis @ torch.diag_embed(values) @ basis.mT
    return a, torch.randn(RUNS, SIZE, generator=random, dtype=torch.float64)


def test_solves_like_a_dense_solver(systems: tuple) -> None:
    """The solution is that of torch.linalg.solve, run by run."""
    a, b = systems
    found = conjugate_gradient(Product(a), b, tolerance=1e-13, limit=200)
    torch.testing.assert_close(
        found.x, torch.linalg.solve(a, b), rtol=1e-10, atol=1e-12
    )


def test_counts_are_products_asked_for(systems: tuple) -> None:
    """Iterations are the number of products of each run, and differ between runs."""
    a, b = systems
    product = Product(a)
    found = conjugate_gradient(product, b, tolerance=1e-9, limit=200)
    assert torch.equal(found.iterations, product.asked)
    assert found.iterations[0] == 1  # the identity
    assert len(set(found.iterations.tolist())) > 2


def test_masks_are_given_once_a_run_has_stopped(systems: tuple) -> None:
    """Products of all runs are asked for without a mask, those of some with it."""
    (a, b), masks = systems, []

    def product(v: torch.Tensor, on: torch.Tensor | None) -> torch.Tensor:
        masks.append(on)
        return Product(a)(v, on)

    found = conjugate_gradient(product, b, start=2 * b, tolerance=1e-9, limit=200)
    first = int(found.iterations.min())
    assert 0 < first < int(found.iterations.max())
    assert masks[: 1 + first] == [None] * (1 + first)
    assert len(masks) == 1 + int(found.iterations.max())
    for made, on in enumerate(masks[1 + first :], first):
        assert torch.equal(on, found.iterations > made)


def test_a_run_does_not_depend_on_the_others(systems: tuple) -> None:
    """A run by itself takes as many products and finds the same solution."""
    a, b = systems
    together = conjugate_gradient(Product(a), b, tolerance=1e-9, limit=200)
    for run in range(RUNS):
        alone = conjugate_gradient(
            Product(a[run : run + 1]), b[run : run + 1], tolerance=1e-9, limit=200
        )
        assert alone.iterations[0] == together.iterations[run]
        torch.testing.assert_close(alone.x[0], together.x[run], rtol=1e-12, atol=1e-13)


def test_residual_meets_the_tolerance(systems: tuple) -> None:
    """Every run stops when its own relative residual is reached, and not before."""
    a, b = systems
    found = conjugate_gradient(Product(a), b, tolerance=1e-4, limit=200)
    residual = (b - Product(a)(found.x, torch.ones(RUNS, dtype=torch.bool))).norm(dim=1)
    assert (residual <= 1.0001e-4 * b.norm(dim=1)).all()
    shorter = conjugate_gradient(
        Product(a), b, tolerance=1e-4, limit=int(found.iterations.max()) - 1
    )
    assert (shorter.iterations <= found.iterations).all()
    assert not torch.equal(shorter.iterations, found.iterations)


def test_warm_start_costs_one_product_and_may_end_there(systems: tuple) -> None:
    """From the exact solution there is no iteration, only the product for b - A x."""
    a, b = systems
    product = Product(a)
    exact = torch.linalg.solve(a, b)
    found = conjugate_gradient(product, b, start=exact, tolerance=1e-8, limit=50)
    assert found.iterations.eq(0).all()
    assert product.asked.eq(1).all()
    torch.testing.assert_close(found.x, exact, rtol=0, atol=0)
    nudged = conjugate_gradient(
        Product(a), b, start=exact + 1, tolerance=1e-12, limit=200
    )
    torch.testing.assert_close(nudged.x, exact, rtol=1e-9, atol=1e-10)


def test_floor_always_suffices(systems: tuple) -> None:
    """Below the absolute floor no run iterates, however small the tolerance is."""
    a, b = systems
    found = conjugate_gradient(
        Product(a), 1e-12 * b, tolerance=1e-15, floor=1e-10, limit=9
    )
    assert found.iterations.eq(0).all()
    assert found.x.eq(0).all()


def test_odd_right_hand_sides_stop_only_their_runs(systems: tuple) -> None:
    """Zero, NaN and infinite right-hand sides stop at once; the others are solved."""
    a, b = systems
    clean = conjugate_gradient(Product(a), b, tolerance=1e-10, limit=200)
    odd = b.clone()
    odd[0], odd[2], odd[4] = 0, torch.nan, torch.inf
    found = conjugate_gradient(Product(a), odd, tolerance=1e-10, limit=200)
    assert found.iterations[[0, 2, 4]].eq(0).all()
    assert found.x[0].eq(0).all()
    assert torch.equal(found.x[[1, 3, 5]], clean.x[[1, 3, 5]])


def test_limit_is_kept(systems: tuple) -> None:
    """No run takes more iterations than the limit."""
    a, b = systems
    found = conjugate_gradient(Product(a), b, tolerance=1e-15, limit=2)
    assert found.iterations.max() == 2


def test_directions_of_no_curvature_end_a_run() -> None:
    """A run with a singular system stops instead of dividing by zero."""
    a = torch.diag_embed(torch.tensor([[1.0, 0.0], [1.0, 2.0]], dtype=torch.float64))
    b = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    found = conjugate_gradient(Product(a), b, tolerance=1e-12, limit=50)
    assert torch.isfinite(found.x).all()
    torch.testing.assert_close(found.x[1].tolist(), [1.0, 0.5], rtol=1e-12, atol=0)


def test_a_stopped_run_keeps_its_solution() -> None:
    """A run that has broken down is the same by itself and in a batch."""
    diagonals = torch.tensor([[1e30] * 3, [1.0, 2.0, 3.0]])
    b = torch.tensor([[1e10, 2e10, 1e10], [1.0, 2.0, 1.0]])
    single = conjugate_gradient(
        lambda v, _: diagonals[:1] * v, b[:1], tolerance=1e-6, limit=20
    )
    batch = conjugate_gradient(lambda v, _: diagonals * v, b, tolerance=1e-6, limit=20)
    assert torch.equal(single.x[0], batch.x[0])
    assert torch.isfinite(batch.x).all()


def test_a_matrix_that_is_not_positive_definite_is_told(systems: tuple) -> None:
    """A run that meets a direction without positive curvature says so, no other."""
    a, b = systems
    a = a.clone()
    a[2] = -a[2]
    found = conjugate_gradient(Product(a), b, tolerance=1e-9, limit=200)
    assert found.indefinite.tolist() == [run == 2 for run in range(RUNS)]
    assert torch.equal(found.x[2], torch.zeros(SIZE, dtype=torch.float64))
    assert found.iterations[2] == 1


class OnCuda(torch.Tensor):
    """A mask that says it is on a GPU."""

    device = torch.device("cuda")


def test_a_long_loop_is_checked_less_often_on_a_gpu() -> None:
    """At each of the iterations 1 to 8, then at each eighth; short ones never."""
    off = torch.zeros(2, dtype=torch.bool)
    there = off.as_subclass(OnCuda)
    assert [is_over(off, made, 100) for made in range(30)] == [True] * 30
    asked = [made for made in range(30) if is_over(there, made, 100)]
    assert asked == [*range(1, 9), 16, 24]
    assert asked == [made for made in range(30) if is_over(there, made)]
    assert not any(is_over(one, made, 8) for one in (off, there) for made in range(9))
    assert not is_over(~off, 0, 100)

"""Variance reduction on finite sums, against identities and exact expectations."""

import pytest
import torch
from term_pairs import step_of_all_pairs

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import MisfitError
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.vectors import Joint
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, require_equal_runs, start_runs

PURE = "finite_sum_bilinear[terms={n},linear=none]"


def run(words: str, game: str, steps: int, seeds: tuple[int, ...]) -> list[Joint]:
    """Return the iterates of some seeds."""
    algorithm, (oracle, z) = (
        ALGORITHMS.build(words),
        start_runs(TASKS.build(game), seeds),
    )
    state, zs = algorithm.init(oracle, z), [z]
    for _ in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        zs.append(z)
    return zs


@pytest.mark.parametrize("options", ["", "direction=adam,"])
def test_with_one_term_it_is_extragradient(options: str) -> None:
    """Where every minibatch is the whole sum there is no variance to reduce."""
    game = "finite_sum_bilinear[terms=1]"
    ours = run(f"svre[{options}step_size=0.3]", game, 20, (0, 1, 2))
    other = run(f"extragradient[{options}step_size=0.3]", game, 20, (0, 1, 2))
    for one, two in zip(ours, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("n", "eta"), [(10, 0.3), (4, 0.5)])
def test_extragradient_grows_as_in_theory(n: int, eta: float) -> None:
    """With two independent terms E‖z⁺‖² grows at every step size; with one it falls.

    Source: Chavdarova et al. 2019, theorem 1; Mishchenko et al. 2020 for one term. Both
    are exact means over all choices of terms.
    """
    words = f"extragradient[step_size={eta},minibatch=fresh]"
    z, moved = step_of_all_pairs(words, n)
    growth = float((moved**2).sum(1).mean() / (z[0] ** 2).sum())
    expected = 1 + (eta**2 * (1 - 2 / n) + eta**4 / n) / n
    assert growth == pytest.approx(expected, rel=1e-12)
    z, moved = step_of_all_pairs(f"extragradient[step_size={eta}]", n)
    growth = float((moved**2).sum(1).mean() / (z[0] ** 2).sum())
    assert growth == pytest.approx(1 + (eta**4 - eta**2) / n, rel=1e-12)


def test_the_reduced_field_is_unbiased() -> None:
    """The mean step over all pairs of terms is that of two full fields."""
    z, moved = step_of_all_pairs("svre[step_size=0.3,snapshot=0]", 6, linear="1")
    task = TASKS.build("finite_sum_bilinear[terms=6]")
    oracle = Oracle(OracleState(task.build(PLACEMENT), (0,)))
    # The first look-ahead is exact, since the snapshot is the point itself.
    ahead = z[:1] - 0.3 * oracle.full_field(z[:1])
    expected = z[:1] - 0.3 * oracle.full_field(ahead)
    torch.testing.assert_close(moved.mean(0)[None], expected, rtol=1e-12, atol=1e-14)
    assert (moved - moved[0]).abs().max() > 1e-3


@pytest.mark.slow
def test_it_converges_where_extragradient_diverges() -> None:
    """On single terms of three, in the median of 64 runs."""
    seeds, game = tuple(range(64)), PURE.format(n=3)
    reduced = run("svre[step_size=0.7,snapshot=0.5]", game, 300, seeds)
    noisy = run("extragradient[step_size=0.7,minibatch=fresh]", game, 300, seeds)
    assert (reduced[-1].norm(dim=1) / reduced[0].norm(dim=1)).median() < 1e-2
    assert (noisy[-1].norm(dim=1) / noisy[0].norm(dim=1)).median() > 1e2


def test_snapshots_come_as_often_as_told() -> None:
    """The number of passes is binomial, and a restart goes to the average."""
    algorithm = ALGORITHMS.build("svre[snapshot=0.2,restart=1]")
    oracle, z = start_runs(TASKS.build(PURE.format(n=3)), tuple(range(200)))
    state = algorithm.init(oracle, z)
    for _ in range(20):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
    passes = state.passes.double()
    assert abs(passes.mean() - 4) < 5 * (3.2 / 200) ** 0.5
    full = oracle.full_field(state.snapshot)
    torch.testing.assert_close(state.full, full, rtol=0, atol=0)
    restarted = (state.steps == 1)[:, 0]
    assert restarted.any()
    assert torch.equal(state.mean[restarted], z[restarted])


def test_a_pass_is_made_in_compiled_cells_too() -> None:
    """Snapshots that are taken after the first step are those of eager cells."""
    words = "svre[snapshot=0.3,step_size=0.3]"
    one = Cell(
        task=TASKS.build("finite_sum_bilinear[terms=5]"),
        algorithm=ALGORITHMS.build(words),
        metrics=(METRICS.build("distance"),),
        seeds=(0, 1),
        steps=40,
        records=4,
    )
    eager = run_cell(one, PLACEMENT)
    other = run_cell(one, PLACEMENT._replace(compiled=True))
    require_equal_runs(eager, other, range(2), "compiled runs must be the same")


def test_only_finite_sums_have_a_full_field() -> None:
    """Noise is no sum that a method may see through, nor has xy any terms."""
    for words in ("bilinear", "bilinear[noise=1]"):
        game = TASKS.build(words).build(PLACEMENT)
        oracle = Oracle(OracleState(game, (0,)))
        with pytest.raises(MisfitError, match="full_field needs a game whose losses"):
            oracle.full_field(torch.ones(1, 2, dtype=PLACEMENT.dtype))

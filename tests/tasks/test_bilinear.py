"""Bilinear games: spectra, instances, gaps and distances."""

import numpy as np
import pytest
import torch

from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.tasks.bilinear import spectral_matrix
from mmbench.testing.tools import PLACEMENT, start_runs


@pytest.mark.parametrize("spacing", ["linear", "log"])
def test_spectrum_is_the_one_asked_for(spacing: str) -> None:
    """Singular values run from the smallest to the largest as spaced."""
    task = TASKS.build(f"bilinear[dim=6,smallest=0.1,largest=10,spacing={spacing}]")
    space = np.linspace if spacing == "linear" else np.geomspace
    values = torch.linalg.svdvals(spectral_matrix(task)).flip(0)
    np.testing.assert_allclose(values, space(0.1, 10, 6), rtol=1e-12)


def test_instances_differ_and_repeat() -> None:
    """An instance is one matrix, another instance another one."""
    one, kept, other, again = (
        spectral_matrix(TASKS.build(f"bilinear[dim=4,instance={i}]"))
        for i in (1, 1, 2, 1)
    )
    assert one is kept  # each chunk of a cell builds its game
    assert one is not again
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [2, 6, 7, 9, 10, 11, 15, 17, 20, 31, 63, 100, 101, 130])
def test_a_shared_product_ignores_other_runs_and_order(
    dim: int, dtype: torch.dtype
) -> None:
    """The bits of a run depend neither on its position nor on the other runs."""
    task = TASKS.build(f"bilinear[dim={dim},smallest=0.1]")
    seeds = tuple(range(task.width))
    oracle_of = lambda: Oracle(
        OracleState(task.build(PLACEMENT._replace(dtype=dtype)), seeds)
    )
    drawn = torch.Generator().manual_seed(0)
    z = torch.randn(len(seeds), 2 * dim, generator=drawn, dtype=dtype)
    expected = oracle_of().field(z)
    for _ in range(5):
        places = torch.randperm(len(seeds), generator=drawn)
        assert torch.equal(oracle_of().field(z[places]), expected[places])
        others = torch.randn(z.shape, generator=drawn, dtype=dtype)
        others[places[:3]] = z[:3]
        assert torch.equal(oracle_of().field(others)[places[:3]], expected[:3])
    alone = z[:1].expand_as(z).contiguous()
    assert torch.equal(oracle_of().field(alone), expected[:1].expand_as(z))


@pytest.mark.parametrize("words", ["bilinear[dim=3,smallest=0.5]", "bilinear[box=5]"])
def test_gap_is_the_best_deviation(words: str) -> None:
    """The closed form of the restricted gap is reached, and not passed, by a search."""
    task, radius = TASKS.build(words), 2.0
    game, (oracle, z) = task.build(PLACEMENT), start_runs(task)
    gap = game.gap(z, radius)
    random = torch.Generator().manual_seed(0)
    drawn = torch.randn(20000, game.dim, generator=random, dtype=z.dtype)
    x, y = oracle.split(drawn)
    if task.box:
        x, y = task.box * x.sign(), task.box * y.sign()  # a bilinear form peaks there
    else:
        x, y = (radius * part / part.norm(dim=1, keepdim=True) for part in (x, y))
    for run, mine in enumerate(z):
        here_x, here_y = (part.expand(len(x), -1) for part in oracle.split(mine[None]))
        best_y = game.losses(here_x, y, None)[0].max()
        best_x = game.losses(x, here_y, None)[0].min()
        gain = (best_y - best_x).item()
        assert gain <= gap[run].item() * (1 + 1e-12)
        assert gain == pytest.approx(gap[run].item(), rel=0.02)


def test_distances_on_the_box() -> None:
    """On the box every (0, y) is minimax, (0, 0) alone is Nash."""
    game = TASKS.build("bilinear[box=5]").build(PLACEMENT)
    z = torch.tensor([[0.0, 3.0], [-3.0, 4.0]], dtype=torch.float64)
    assert game.distance(z, "declared").tolist() == [0.0, 3.0]
    assert game.distance(z, "nash").tolist() == [3.0, 5.0]

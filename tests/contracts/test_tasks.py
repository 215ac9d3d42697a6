"""Every task keeps what a task must keep, and its own answers are right."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from images import fake_cifar10, fake_mnist
from variants import IMAGE_TASK_VARIANTS, TASK_VARIANTS

from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.tasks.base import Target
from mmbench.tasks.bilinear import spectral_matrix
from mmbench.testing import check_task
from mmbench.testing.tools import PLACEMENT, SEEDS, begin

NEEDS_MNIST = pytest.mark.skipif(
    not os.environ.get("MMBENCH_DATA"), reason="MMBENCH_DATA names no folder with MNIST"
)


EVERY_VARIANT = [*TASK_VARIANTS, *IMAGE_TASK_VARIANTS]


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up images where the data sets are looked for."""
    fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    fake_mnist(tmp_path, monkeypatch, train=20, test=10)


@pytest.mark.parametrize("words", TASK_VARIANTS)
def test_task_keeps_its_contract(words: str) -> None:
    """Starts, losses, gradients against differences, solutions, ten steps of GDA."""
    check_task(TASKS.build(words))


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("words", IMAGE_TASK_VARIANTS)
def test_image_task_keeps_its_contract(words: str) -> None:
    """The same on made-up images, with metrics that need few of them."""
    task = TASKS.build(words)
    task.prepare(None)
    check_task(task, metrics=("losses[minibatches=1]",))


@NEEDS_MNIST
@pytest.mark.parametrize("loss", ["nonsaturating", "saturating"])
def test_mnist_keeps_its_contract(loss: str) -> None:
    """The same where MNIST is at hand."""
    task = TASKS.build(f"mnist01[loss={loss},batch=4]")
    task.prepare(Path(os.environ["MMBENCH_DATA"]))
    check_task(task)


def test_every_task_has_a_variant() -> None:
    """The list of variants reaches every task that needs no download."""
    named = {words.partition("[")[0] for words in EVERY_VARIANT}
    assert named == set(TASKS) - {"mnist01"}


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("words", EVERY_VARIANT)
def test_precisions_start_at_the_same_point(words: str) -> None:
    """A seed starts at one point, rounded to the precision."""
    task = TASKS.build(words)
    single, double = (
        task.start(task.build(Placement(dtype=dtype)), generator(3, "start"))
        for dtype in (torch.float32, torch.float64)
    )
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, double.float(), rtol=0, atol=0)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("words", EVERY_VARIANT)
def test_starts_are_allowed_points(words: str) -> None:
    """Nobody starts outside the set that iterates are projected on, toys at least."""
    oracle, z = begin(TASKS.build(words))
    if z.shape[1] == 2:
        assert torch.equal(oracle.project(z), z)


# ---- bilinear ----


@pytest.mark.parametrize("spacing", ["linear", "log"])
def test_spectrum_is_the_one_asked_for(spacing: str) -> None:
    """Singular values run from the smallest to the largest as spaced."""
    task = TASKS.build(f"bilinear[dim=6,smallest=0.1,largest=10,spacing={spacing}]")
    space = np.linspace if spacing == "linear" else np.geomspace
    values = torch.linalg.svdvals(spectral_matrix(task)).flip(0)
    np.testing.assert_allclose(values, space(0.1, 10, 6), rtol=1e-12)


def test_instances_differ_and_repeat() -> None:
    """An instance is one matrix, another instance another one."""
    one, again, other = (
        spectral_matrix(TASKS.build(f"bilinear[dim=4,instance={i}]")) for i in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [2, 6, 7, 9, 10, 11, 15, 17, 20, 31, 63, 100, 101, 130])
def test_a_shared_product_ignores_mates_and_places(
    dim: int, dtype: torch.dtype
) -> None:
    """To the bit, among as many runs: where a run stands, and who the others are."""
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
    game, (oracle, z) = task.build(PLACEMENT), begin(task)
    told = game.gap(z, radius)
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
        assert gain <= told[run].item() * (1 + 1e-12)
        assert gain == pytest.approx(told[run].item(), rel=0.02)


def test_distances_on_the_box() -> None:
    """On the box every (0, y) is minimax, (0, 0) alone is Nash."""
    game = TASKS.build("bilinear[box=5]").build(PLACEMENT)
    z = torch.tensor([[0.0, 3.0], [-3.0, 4.0]], dtype=torch.float64)
    assert game.distance(z, "declared").tolist() == [0.0, 3.0]
    assert game.distance(z, "nash").tolist() == [3.0, 5.0]


# ---- GANs ----


def test_ring_of_modes() -> None:
    """Four modes on the unit circle; as released the first has 2/5 of the data."""
    game = TASKS.build("four_gaussians").build(PLACEMENT)
    expected = [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]
    torch.testing.assert_close(game.modes, torch.tensor(expected), rtol=0, atol=1e-6)
    assert game.mode_weights.tolist() == pytest.approx([0.4, 0.2, 0.2, 0.2])
    uniform = TASKS.build("four_gaussians[weights=uniform]").build(PLACEMENT)
    assert uniform.mode_weights.tolist() == [0.25] * 4


@pytest.mark.parametrize("weights", ["released", "uniform"])
def test_data_follow_the_mixture(weights: str) -> None:
    """Shares and spread of the drawn points are those declared."""
    game = TASKS.build(f"four_gaussians[weights={weights},batch=500]").build(PLACEMENT)
    points = game.draw_real(generator(0, "data"), 40).flatten(0, 1)
    distances, which = torch.cdist(points, game.modes.double()).min(1)
    shares = which.bincount(minlength=4) / len(points)
    torch.testing.assert_close(shares, game.mode_weights, rtol=0, atol=0.015)
    # The mean square of a planar normal's length is twice the variance.
    assert distances.square().mean().sqrt().item() == pytest.approx(
        0.01 * 2**0.5, rel=0.02
    )


def test_samples_depend_on_the_seed_alone() -> None:
    """The generator's noise is the same at each record, whoever is beside."""
    oracle, z = begin(TASKS.build("four_gaussians[hidden=8,noise=4,batch=16]"))
    game = oracle._game
    every = game.generate(z, 50, SEEDS)
    assert torch.equal(every, game.generate(z, 50, SEEDS))
    alone = game.generate(z[1:2], 50, SEEDS[1:2])
    torch.testing.assert_close(alone[0], every[1], rtol=1e-12, atol=1e-14)


def test_clip_bounds_the_critic_only() -> None:
    """Projection leaves the generator alone."""
    oracle, z = begin(
        TASKS.build(
            "four_gaussians[hidden=8,noise=4,batch=8,loss=wasserstein,clip=0.1]"
        )
    )
    (x, y), (old_x, old_y) = oracle.split(oracle.project(z)), oracle.split(z)
    assert torch.equal(x, old_x)
    assert torch.equal(y, old_y.clamp(-0.1, 0.1))
    assert old_y.abs().max() > 0.1


def test_targets_hold_run_by_run() -> None:
    """All bounds must hold, and NaN never does."""
    target = Target("m", at_most=(("a", 1.0),), at_least=(("b", 4),))
    columns = {
        "a": np.array([0.5, 1.0, 2.0, np.nan, 0.5]),
        "b": np.array([4.0, 5.0, 4.0, 4.0, np.nan]),
    }
    assert target.holds(columns).tolist() == [True, True, False, False, False]
    assert str(target) == "a ≤ 1 and b ≥ 4"

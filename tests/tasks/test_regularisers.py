"""Regularisers of a discriminator, against slopes and noise written out in numpy."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.streams import generator
from mmbench.tasks import REGULARISERS, TASKS
from mmbench.tasks._gan import Batch, GANGame
from mmbench.tasks._layers import Linear, Tanh
from mmbench.tasks._networks import Network
from mmbench.testing.tools import PLACEMENT, SEEDS

BATCH = 5
GENERATOR = Network((3,), (Linear(3, 2),))
DISCRIMINATOR = Network((2,), (Linear(2, 4), Tanh(), Linear(4, 1)))
LINEAR = Network((2,), (Linear(2, 1),))


class Plane(GANGame):
    """Points of the plane around (1, 1) against a linear generator."""

    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Normal numbers around 1."""
        shape = (count, self.batch_size, 2)
        return 1 + torch.randn(shape, generator=generator, dtype=self.dtype)


def game(*words: str, judge: Network = DISCRIMINATOR, loss: Any = "wasserstein"):
    """Return the game with these regularisers."""
    regularisers = tuple(map(REGULARISERS.build, words))
    return Plane(GENERATOR, judge, loss, BATCH, regularisers, PLACEMENT)


def begin(built: Plane) -> tuple[Oracle, Tensor, Batch]:
    """Return an oracle with its first minibatch, points for three runs, and it."""
    random = torch.Generator().manual_seed(5)
    z = torch.randn(len(SEEDS), built.dim, generator=random, dtype=PLACEMENT.dtype)
    oracle = Oracle(OracleState(built, SEEDS, memory=built.memory(z)))
    oracle.resample()
    return oracle, z, oracle._state.sample


def slopes(y: Tensor, points: np.ndarray) -> np.ndarray:
    """Return the length of ∂D/∂s of one run at each point, by the chain rule."""
    of = {k: t[0].numpy() for k, t in DISCRIMINATOR.layout.split(y[None]).items()}
    hidden = np.tanh(points @ of["0.weight"] + of["0.bias"])
    gradient = ((1 - hidden**2) * of["2.weight"][:, 0]) @ of["0.weight"].T
    return np.linalg.norm(gradient, axis=1)


def made(x: Tensor, noise: Tensor) -> np.ndarray:
    """Return the generated points of one run."""
    of = {k: t[0].numpy() for k, t in GENERATOR.layout.split(x[None]).items()}
    return noise.numpy() @ of["0.weight"] + of["0.bias"]


PENALTIES = {
    "r1[weight=3]": lambda at: 1.5 * (at["real"] ** 2).mean(),
    "r2[weight=3]": lambda at: 1.5 * (at["fake"] ** 2).mean(),
    "gp[weight=2]": lambda at: 2 * ((at["between"] - 1) ** 2).mean(),
    "gp[weight=2,centre=0.3]": lambda at: 2 * ((at["between"] - 0.3) ** 2).mean(),
    "gp[weight=2,centre=0]": lambda at: 2 * (at["between"] ** 2).mean(),
}


@pytest.mark.parametrize("words", PENALTIES)
def test_penalties_are_their_formulas(words: str) -> None:
    """The discriminator's loss rises by the penalty, to 1e-9."""
    oracle, z, sample = begin(game(words))
    plain, _, _ = begin(game())
    got = oracle.losses(z)[1] - plain.losses(z)[1]
    for run, (x, y) in enumerate(zip(*oracle.split(z), strict=True)):
        real, fake = sample.real[run].numpy(), made(x, sample.noise[run])
        points = {"real": real, "fake": fake}
        if "gp" in words:
            shares = sample.drawn[1][0][run].numpy()[:, None]
            points["between"] = shares * real + (1 - shares) * fake
        at = {name: slopes(y, where) for name, where in points.items()}
        assert got[run].item() == pytest.approx(PENALTIES[words](at), abs=1e-9)


@pytest.mark.parametrize("words", [*PENALTIES, "gp[shared=false]", "r2[shared=true]"])
def test_gradients_agree_with_differences(words: str) -> None:
    """Of each player's loss, along one direction of its own variables."""
    oracle, z, _ = begin(game(words))
    random = torch.Generator().manual_seed(1)
    v = torch.randn(z.shape, generator=random, dtype=z.dtype)
    field = oracle.field(z)
    for player, row in enumerate((oracle.row(1.0, 0.0), oracle.row(0.0, 1.0))):
        ahead, behind = (oracle.losses(z + s * row * v)[player] for s in (1e-5, -1e-5))
        expected = (ahead - behind) / 2e-5
        torch.testing.assert_close((field * row * v).sum(1), expected)


@pytest.mark.parametrize(
    ("words", "zero_sum"),
    [
        ("r1", True),
        ("r2", False),
        ("r2[shared=true]", True),
        ("gp", True),
        ("gp[shared=false]", False),
        *((name, True) for name in ("l2", "spectral", "clip", "noise")),
    ],
)
def test_zero_sum_flag_is_right(words: str, zero_sum: bool) -> None:
    """The flag says whether both losses add up to zero, and they do or do not."""
    built = game(words)
    oracle, z, _ = begin(built)
    loss_x, loss_y = oracle.losses(z)
    assert built.zero_sum is zero_sum
    assert torch.allclose(loss_x, -loss_y) is zero_sum


@pytest.mark.parametrize(("words", "best"), [("gp", 1), ("gp[centre=2]", 2), ("r1", 0)])
def test_penalties_are_least_at_their_slope(words: str, best: float) -> None:
    """At D(s) = w·s with w of the best length the penalty is 0; around it more."""
    built = game(words, judge=LINEAR)
    oracle, z, _ = begin(built)
    plain, _, _ = begin(game(judge=LINEAR))
    values = {}
    for length in (max(best - 0.1, 0), best, best + 0.1):
        weight = torch.tensor([[0.6 * length], [0.8 * length]], dtype=z.dtype)
        bias = torch.full((1, 1), 0.3, dtype=z.dtype)
        z[:, built.dim_x :] = LINEAR.layout.join({"0.weight": weight, "0.bias": bias})
        values[length] = float((oracle.losses(z)[1] - plain.losses(z)[1]).max())
    factor = 5 if words == "r1" else 10
    assert values[best] == pytest.approx(0, abs=1e-10)
    assert values[best + 0.1] == pytest.approx(factor * 0.01, rel=1e-5)


def test_l2_and_clip_have_closed_forms() -> None:
    """2λy is added to the gradient of y; entries of y are cut off at the bound."""
    (plain, z, _), (damped, _, _) = begin(game()), begin(game("l2[weight=0.3]"))
    y = plain.split(z)[1]
    torch.testing.assert_close(damped.grad_y(z), plain.grad_y(z) + 0.6 * y)
    oracle, _, _ = begin(game("clip[bound=0.2]"))
    (x, clipped), (old_x, _) = oracle.split(oracle.project(z)), oracle.split(z)
    assert torch.equal(x, old_x)
    assert torch.equal(clipped, y.clamp(-0.2, 0.2))


def test_spectral_norms_are_those_of_numpy() -> None:
    """Each weight is divided by its largest singular value, once vectors settled."""
    built = game("spectral")
    _, z, _ = begin(built)
    y = z[:, built.dim_x :]
    memory = built.memory(z)
    for _ in range(100):
        memory = built.advance(z, memory, None)
    points = torch.randn(len(SEEDS), BATCH, 2, dtype=torch.float64)
    got = built.discriminator(y, points, vectors=memory)[:, :, 0]
    for run in range(len(SEEDS)):
        of = {k: t[run].numpy() for k, t in DISCRIMINATOR.layout.split(y).items()}
        first, last = (
            of[name] / np.linalg.svd(of[name], compute_uv=False)[0]
            for name in ("0.weight", "2.weight")
        )
        hidden = np.tanh(points[run].numpy() @ first + of["0.bias"])
        expected = (hidden @ last + of["2.bias"])[:, 0]
        np.testing.assert_allclose(got[run].numpy(), expected, atol=1e-9)


def test_noise_is_added_to_what_the_discriminator_reads() -> None:
    """Each half has its own normal noise, and the rest of the minibatch stays."""
    oracle, z, sample = begin(game("noise[deviation=0.5]", judge=LINEAR))
    plain, _, same = begin(game(judge=LINEAR))
    assert torch.equal(sample.real, same.real)
    assert torch.equal(sample.noise, same.noise)
    (at_real, at_fake) = sample.drawn[1]
    assert not torch.equal(at_real, at_fake)
    w = plain.split(z)[1][:, :2]
    moved = 0.5 * torch.einsum("rbi,ri->r", at_real - at_fake, w) / BATCH
    torch.testing.assert_close(oracle.losses(z)[0], plain.losses(z)[0] + moved)
    many = game("noise").draw(generator(0, "data"), 2000).drawn[1]
    assert torch.cat(many).std().item() == pytest.approx(1, rel=0.02)


def test_each_regulariser_has_its_own_numbers() -> None:
    """Two penalties of one kind do not share the points where they are taken."""
    oracle, z, sample = begin(game("gp", "l2", "gp[between=normal]"))
    assert [len(drawn) for drawn in sample.drawn] == [0, 1, 0, 1]
    assert sample.drawn[1][0].min() >= 0
    assert not torch.equal(sample.drawn[1][0], sample.drawn[3][0])
    assert oracle.losses(z)[0].isfinite().all()


def test_fields_and_regularisers_that_mean_the_same_are_the_same_game() -> None:
    """`clip` of a task is the regulariser, and penalties take part with any loss."""
    words = "four_gaussians[hidden=4,noise=2,batch=4,loss=hinge,{}]"
    games = [
        TASKS.build(words.format(one)).build(PLACEMENT)
        for one in ("clip=0.1", "regularisers=(clip[bound=0.1])")
    ]
    assert games[0].regularisers == games[1].regularisers

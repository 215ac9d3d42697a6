"""Losses of GANs against divergences of distributions on finitely many points."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.core.errors import DescriptionError
from mmbench.tasks import LOSSES, TASKS
from mmbench.tasks._gan_losses import GANLoss, Loss, loss_of

P = np.array([0.10, 0.25, 0.15, 0.30, 0.20])
Q = np.array([0.25, 0.15, 0.20, 0.10, 0.30])
LOG_4 = math.log(4)

# f and f' of each divergence, and the output of the discriminator that gives t = g(v).
DIVERGENCES = {
    "kl": (
        lambda u: u * np.log(u),
        lambda u: np.log(u) + 1,
        lambda t: t,
    ),
    "reverse_kl": (
        lambda u: -np.log(u),
        lambda u: -1 / u,
        lambda t: -np.log(-t),
    ),
    "pearson": (
        lambda u: (u - 1) ** 2,
        lambda u: 2 * (u - 1),
        lambda t: t,
    ),
    "hellinger": (
        lambda u: (np.sqrt(u) - 1) ** 2,
        lambda u: 1 - 1 / np.sqrt(u),
        lambda t: -np.log(1 - t),
    ),
    "jensen_shannon": (
        lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
        lambda u: np.log(2 * u / (u + 1)),
        lambda t: -np.log(2 * np.exp(-t) - 1),
    ),
}


def loss(words: str) -> Loss:
    """Return a loss by its name or its spec."""
    named: tuple[GANLoss, ...] = ("saturating", "nonsaturating", "wasserstein")
    return loss_of(words if words in named else LOSSES.build(words))  # type: ignore[arg-type]


def payoff(of: Loss, v: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """Return f for outputs v at the points of the distributions p and q.

    A payoff is a mean over real points plus a mean over generated ones, so that the
    means under p and q follow from minibatches of one point.
    """
    outputs = torch.tensor(v)[:, None]
    none = torch.zeros_like(outputs)
    at_real, at_fake = of.payoff(outputs, none), of.payoff(none, outputs)
    return float(p @ at_real.numpy() + q @ at_fake.numpy() - of.payoff(none, none)[0])


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence, with 0 log 0 = 0."""
    m = (p + q) / 2
    pairs = [(one[one > 0], m[one > 0]) for one in (p, q)]
    return sum(float(one @ np.log(one / mean)) for one, mean in pairs) / 2


@pytest.mark.parametrize("name", DIVERGENCES)
def test_bound_of_f_divergence_is_tight(name: str) -> None:
    """At t = f'(p/q) the payoff is the divergence; at other outputs it is less."""
    f, slope, output = DIVERGENCES[name]
    of = loss(f"fgan[divergence={name}]")
    best = output(slope(P / Q))
    divergence = float(Q @ f(P / Q))
    assert divergence > 0.01
    assert payoff(of, best, P, Q) == pytest.approx(divergence, abs=1e-9)
    for off in np.eye(5) * 0.1:
        assert payoff(of, best + off, P, Q) < divergence
        assert payoff(of, best - off, P, Q) < divergence


def test_pearson_is_over_q_and_jensen_shannon_is_doubled() -> None:
    """On two normals, against values that were computed apart from this code."""
    s = np.linspace(-12, 12, 4801)
    p, q = (np.exp(-(((s - m) / d) ** 2) / 2) / d for m, d in ((0, 1), (0.5, 1.3)))
    p, q = p / p.sum(), q / q.sum()
    for name, expected in (("pearson", 0.2168), ("jensen_shannon", 0.07474)):
        _, slope, output = DIVERGENCES[name]
        of = loss(f"fgan[divergence={name}]")
        assert payoff(of, output(slope(p / q)), p, q) == pytest.approx(
            expected, abs=5e-5
        )
    assert jensen_shannon(p, q) == pytest.approx(0.03737, abs=5e-6)


def test_best_discriminator_gives_jensen_shannon() -> None:
    """With logits log(p/q) the payoff is 2 JS − log 4; no logits do better."""
    best, of = np.log(P / Q), loss("saturating")
    expected = 2 * jensen_shannon(P, Q) - LOG_4
    assert payoff(of, best, P, Q) == pytest.approx(expected, abs=1e-12)
    for off in np.eye(5) * 0.1:
        assert payoff(of, best + off, P, Q) < expected
        assert payoff(of, best - off, P, Q) < expected


def test_disjoint_supports_are_log_2_apart() -> None:
    """That is the largest divergence, which a confident discriminator reaches."""
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.25, 0.75])
    sure = np.array([40.0, 40, -40, -40])
    assert jensen_shannon(p, q) == pytest.approx(math.log(2), abs=1e-12)
    assert payoff(loss("saturating"), sure, p, q) == pytest.approx(0, abs=1e-12)
    assert payoff(loss("fgan"), sure, p, q) == pytest.approx(LOG_4, abs=1e-12)


def test_f_gan_of_jensen_shannon_is_the_gan_loss() -> None:
    """The two differ by log 4 at every discriminator."""
    v = np.array([-3.0, -0.5, 0.2, 1, 4])
    apart = payoff(loss("fgan"), v, P, Q) - payoff(loss("saturating"), v, P, Q)
    assert apart == pytest.approx(LOG_4, abs=1e-12)


def test_least_squares_is_half_of_pearson() -> None:
    """With the labels −1, 1 and 0, at the best discriminator."""
    of = loss("lsgan[a=-1,b=1,c=0]")
    best = (P - Q) / (P + Q)
    for off in np.eye(5) * 0.1:
        assert payoff(of, best + off, P, Q) < payoff(of, best, P, Q)
        assert payoff(of, best - off, P, Q) < payoff(of, best, P, Q)
    outputs = torch.tensor(best)[:, None]
    fake = Q @ of.generator_loss(outputs, outputs, ()).numpy()
    expected = float(((P - Q) ** 2 / (P + Q)).sum() / 2)
    assert fake + P @ best**2 / 2 == pytest.approx(expected, abs=1e-12)


def test_least_squares_has_its_labels() -> None:
    """By hand, for one real and one generated point and three different labels."""
    of, (real, fake) = loss("lsgan[a=2,b=5,c=3]"), torch.tensor([[[1.0]], [[7.0]]])
    assert of.payoff(real, fake).item() == -((1 - 5) ** 2 + (7 - 2) ** 2) / 2
    assert of.generator_loss(real, fake, ()).item() == (7 - 3) ** 2 / 2


def test_hinge_is_the_shared_mass() -> None:
    """The sign of p − q gives −2 Σ min(p, q), which no other outputs exceed."""
    of, best = loss("hinge"), np.sign(P - Q)
    expected = -2 * float(np.minimum(P, Q).sum())
    assert payoff(of, best, P, Q) == pytest.approx(expected, abs=1e-12)
    random = np.random.default_rng(0)
    for v in random.normal(size=(50, 5)) * 2:
        assert payoff(of, v, P, Q) <= expected
    fake = torch.tensor([[3.0, -1.0]])
    assert of.generator_loss(fake, fake, ()).item() == -1


def test_wasserstein_is_the_earth_movers_distance() -> None:
    """On a line the best 1-Lipschitz outputs follow the distribution functions."""
    excess = np.cumsum(P - Q)[:-1]
    best = np.concatenate(([0], -np.sign(excess).cumsum()))
    got = payoff(loss("wasserstein"), best, P, Q)
    assert got == pytest.approx(float(np.abs(excess).sum()), abs=1e-12)


def samples(*shape: int) -> tuple[Tensor, Tensor]:
    """Return outputs at real and at generated points."""
    random = torch.Generator().manual_seed(3)
    draw = (torch.randn(shape, generator=random, dtype=torch.float64) for _ in "12")
    real, fake = draw
    return real, fake + 0.5


@pytest.mark.parametrize("features", [1, 3])
def test_mmd_is_the_unbiased_estimator(features: int) -> None:
    """Against sums over pairs of points, one pair at a time."""
    of = loss(f"mmd[features={features},scales=(0.5,2)]")
    real, fake = samples(2, 5, features)
    squeezed = (one[:, :, 0] if features == 1 else one for one in (real, fake))

    def kernel(r: np.ndarray, s: np.ndarray) -> float:
        square = float(((r - s) ** 2).sum())
        return sum((1 + square / (2 * a)) ** -a for a in (0.5, 2))

    for run, got in enumerate(of.payoff(*squeezed)):
        r, s = real[run].numpy(), fake[run].numpy()
        within = sum(
            kernel(one[i], one[j])
            for one in (r, s)
            for i in range(5)
            for j in range(5)
            if i != j
        )
        across = sum(kernel(a, b) for a in r for b in s)
        assert got.item() == pytest.approx(within / 20 - 2 * across / 25, abs=1e-12)


def test_sliced_compares_sorted_features() -> None:
    """Against numpy, one direction at a time; y has the cross-entropy of the logits."""
    of = loss("sliced[directions=4]")
    real, fake = samples(2, 6, 1 + 3)
    random = torch.Generator().manual_seed(0)
    (directions,) = of.draw(random, 2, 3)
    assert directions.shape == (2, 3, 4)
    assert of.numbers(3) == 12
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-6)
    got = of.generator_loss(real, fake, (directions.double(),))
    for run in range(2):
        r, s = real[run, :, 1:].numpy(), fake[run, :, 1:].numpy()
        terms = [
            np.mean((np.sort(r @ w) - np.sort(s @ w)) ** 2)
            for w in directions[run].double().numpy().T
        ]
        assert got[run].item() == pytest.approx(np.mean(terms), abs=1e-12)
    expected = loss("saturating").payoff(real[:, :, 0], fake[:, :, 0])
    assert torch.equal(of.payoff(real, fake), expected)


EVERY = (
    *("saturating", "nonsaturating", "wasserstein"),
    *("lsgan", "hinge", "mmd[features=3]", "sliced[directions=2]"),
    *(f"fgan[divergence={name}]" for name in DIVERGENCES),
    "fgan[divergence=kl,generator=nonsaturating]",
)


@pytest.mark.parametrize("words", EVERY)
def test_first_and_second_derivatives_agree_with_differences(words: str) -> None:
    """Of both players' losses, in the outputs at real and at generated points."""
    of = loss(words)
    columns = (3,) if of.outputs > 1 or of.reads_features else ()
    inputs = tuple(one.requires_grad_() for one in samples(1, 3, *columns))
    drawn = tuple(one.double() for one in of.draw(torch.Generator(), 1, 2))
    losses = [of.payoff]
    if not of.is_zero_sum:
        losses.append(lambda real, fake: of.generator_loss(real, fake, drawn))
    for one in losses:
        assert torch.autograd.gradcheck(one, inputs, fast_mode=True)
        assert torch.autograd.gradgradcheck(one, inputs, fast_mode=True)


def test_nonsaturating_f_gan_maximises_the_bounds_first_part() -> None:
    """x minimises −E g(D(fake)), for each point as y's real ones have it."""
    of = loss("fgan[divergence=reverse_kl,generator=nonsaturating]")
    fake = torch.tensor([[0.5, -1.0]])
    expected = (math.exp(-0.5) + math.exp(1)) / 2
    got = of.generator_loss(fake, fake, ())
    assert got.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("loss=mmd,batch=1", "FourGaussians.batch must be at least 2 with mmd; got 1"),
        ("loss=mmd,regularisers=(l2,r1)", "loss must have one output with r1; got mmd"),
        ("loss=mmd[scales=()]", "MMD.scales must have at least one number"),
    ],
)
def test_losses_that_do_not_fit_are_refused(words: str, sentence: str) -> None:
    """One sentence, before any work starts."""
    with pytest.raises(DescriptionError, match=sentence.replace("(", r"\(")):
        TASKS.build(f"four_gaussians[{words}]")

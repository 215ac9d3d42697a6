"""The GAN game's losses, regularisers, samples and logits, against torch."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch_modules import torch_mlp

from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.streams import generator
from mmbench.tasks import TASKS, _gan
from mmbench.tasks._gan import GANGame, is_zero_sum
from mmbench.tasks._layers import (
    BatchNorm,
    Conv,
    Linear,
    Rectifier,
    Reshape,
    Tanh,
)
from mmbench.tasks._networks import Network, mlp
from mmbench.tasks._regularisers import GP, L2, Clip, Regulariser
from mmbench.testing.tools import PLACEMENT, SEEDS, start_runs

NOISE, BATCH = 3, 6
SHAPE = (2, 3, 3)


GENERATOR = Network(
    (NOISE,), (Linear(NOISE, 18), BatchNorm(18), Rectifier(), Reshape(SHAPE))
)
# Smooth: through a rectifier a penalty's slope does not depend on where it is taken.
JUDGE = (Conv(2, 4, kernel=2), Tanh(), Reshape((16,)), Linear(16, 1))
DISCRIMINATOR = Network(SHAPE, JUDGE)


class Images(GANGame):
    """Small made-up images against a generator with batch normalisation."""

    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Normal numbers around 1."""
        shape = (count, self.batch_size, *self.discriminator.input_shape)
        return 1 + torch.randn(shape, generator=generator, dtype=self.dtype)


def regularisers_of(
    *, penalty: float = 0, l2: float = 0, clip: float = 0, **options: Any
) -> tuple[Regulariser, ...]:
    """Return the regularisers of these weights and of these options of the penalty."""
    every = (
        L2(weight=l2) if l2 else None,
        GP(weight=penalty, **options) if penalty else None,
        Clip(bound=clip) if clip else None,
    )
    return tuple(one for one in every if one)


def game(loss: Any = "wasserstein", normalised: bool = False, **options: Any) -> Images:
    """Return the game with these options of its regularisers."""
    discriminator = Network(SHAPE, JUDGE, normalised)
    regularisers = regularisers_of(**options)
    return Images(GENERATOR, discriminator, loss, BATCH, regularisers, PLACEMENT)


def begin_game(built: Images) -> tuple[Oracle, Tensor]:
    """Return an oracle with its first minibatch, and points for three runs."""
    random = torch.Generator().manual_seed(5)
    z = torch.randn(len(SEEDS), built.dim, generator=random, dtype=PLACEMENT.dtype)
    oracle = Oracle(OracleState(built, SEEDS, memory=built.memory(z)))
    oracle.resample()
    return oracle, z


def judge(y: Tensor, images: Tensor) -> Tensor:
    """Compute the discriminator of one run by torch's functions."""
    tensors = {k: t[0] for k, t in DISCRIMINATOR.layout.split(y[None]).items()}
    h = nn.functional.conv2d(images, tensors["0.weight"], tensors["0.bias"])
    h = h.tanh().flatten(1)
    return (h @ tensors["3.weight"] + tensors["3.bias"])[:, 0]


def fake(x: Tensor, noise: Tensor) -> Tensor:
    """Compute the generator of one run by torch's functions."""
    tensors = {k: t[0] for k, t in GENERATOR.layout.split(x[None]).items()}
    h = noise @ tensors["0.weight"] + tensors["0.bias"]
    h = nn.functional.batch_norm(
        h, None, None, tensors["1.scale"], tensors["1.shift"], training=True
    )
    return h.relu().view(-1, *SHAPE)


def penalty(y: Tensor, real: Tensor, made: Tensor, shares: Tensor) -> Tensor:
    """Compute E (‖∂D(s)/∂s‖ − 1)² of one run, image by image."""
    terms = []
    for one, other, share in zip(real, made, shares, strict=True):
        mixture = share * one + (1 - share) * other
        if not mixture.requires_grad:
            mixture = mixture.detach().requires_grad_()
        (slope,) = torch.autograd.grad(
            judge(y, mixture[None]).sum(), mixture, create_graph=True
        )
        terms.append((slope.norm() - 1) ** 2)
    return torch.stack(terms).mean()


def losses_of(z: Tensor, run: int, oracle: Oracle, shared: bool, l2: float = 0) -> Any:
    """Compute the Wasserstein losses of one run with a penalty of weight 10."""
    sample, dim_x = oracle._state.sample, oracle.dim_x
    x, y = z[:dim_x], z[dim_x:]
    made, real = fake(x, sample.noise[run]), sample.real[run]
    f = judge(y, real).mean() - judge(y, made).mean() - l2 * (y**2).sum()
    near = made if shared else made.detach()
    steepness = 10 * penalty(y, real, near, sample.drawn[-1][0][run])
    loss_y = -f + steepness
    return (-loss_y if shared else f), loss_y


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("between", ["uniform", "normal"])
def test_penalty_is_that_of_its_paper(shared: bool, between: Any) -> None:
    """Losses and both gradients agree with those of one image at a time."""
    built = game(penalty=10.0, shared=shared, between=between, l2=0.01)
    oracle, z = begin_game(built)
    loss_x, loss_y = oracle.losses(z)
    assert not loss_x.requires_grad
    assert not loss_y.requires_grad
    at_x, at_y = oracle.split(oracle.field(z))
    for run in range(len(z)):
        mine = z[run].clone().requires_grad_()
        expected = losses_of(mine, run, oracle, shared, l2=0.01)
        torch.testing.assert_close(loss_x[run], expected[0].detach(), rtol=1e-9, atol=0)
        torch.testing.assert_close(loss_y[run], expected[1].detach(), rtol=1e-9, atol=0)
        of_x, of_y = (
            torch.autograd.grad(one, mine, retain_graph=True)[0] for one in expected
        )
        dim_x = built.dim_x
        torch.testing.assert_close(at_x[run], of_x[:dim_x], rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(at_y[run], of_y[dim_x:], rtol=1e-8, atol=1e-10)


def test_shared_penalty_reaches_the_generator() -> None:
    """Only a shared penalty changes the generator's gradient."""
    plain, without, with_it = (
        begin_game(game(**options))
        for options in ({}, {"penalty": 10.0, "shared": False}, {"penalty": 10.0})
    )
    gradients = [oracle.grad_x(z) for oracle, z in (plain, without, with_it)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=1e-14)
    assert not torch.allclose(gradients[2], gradients[0])


@pytest.mark.parametrize("loss", ["wasserstein", "saturating", "nonsaturating"])
def test_hessian_products_go_through_the_penalty(loss: Any) -> None:
    """Products of the penalised game agree with differences of its field."""
    built = game(loss, penalty=10.0)
    oracle, z = begin_game(built)
    random = torch.Generator().manual_seed(1)
    v = torch.randn(z.shape, generator=random, dtype=z.dtype)
    at, (v_x, v_y) = oracle.linearise(z), oracle.split(v)
    # The derivative of the field along v, by its reverse passes: u·(Jv) = v·(Jᵀu).
    u = torch.randn(z.shape, generator=random, dtype=z.dtype)
    u_x, u_y = oracle.split(u)
    products = sum(
        (part * w).sum(1)
        for passes in (at.through_x(u_x), at.through_y(u_y))
        for part, w in zip(passes, (v_x, v_y), strict=True)
    )
    off = []
    for step in (1e-6, 1e-7):  # a kink may lie within one of them
        ahead, behind = (oracle.field(z + s * v) for s in (step, -step))
        slope = (u * (ahead - behind)).sum(1) / (2 * step)
        off.append((slope - products).abs() / (1 + products.abs()))
    assert torch.stack(off).amin(0).max() < 1e-5


def test_l2_is_the_sum_of_squares() -> None:
    """λ Σ y², no ½, in both players' losses; the gradient is 2λy longer."""
    (plain, z), (damped, _) = begin_game(game()), begin_game(game(l2=0.3))
    squares = 0.3 * (plain.split(z)[1] ** 2).sum(1)
    for sign, one, other in zip(
        (-1, 1), damped.losses(z), plain.losses(z), strict=True
    ):
        torch.testing.assert_close(one, other + sign * squares, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        damped.grad_y(z), plain.grad_y(z) + 0.6 * plain.split(z)[1]
    )
    torch.testing.assert_close(damped.grad_x(z), plain.grad_x(z))


@pytest.mark.parametrize(
    ("loss", "options", "zero_sum"),
    [
        ("wasserstein", {}, True),
        ("saturating", {"l2": 0.1, "clip": 0.1}, True),
        ("nonsaturating", {}, False),
        ("wasserstein", {"penalty": 10.0}, True),
        ("wasserstein", {"penalty": 10.0, "shared": False}, False),
        ("nonsaturating", {"penalty": 10.0}, False),
    ],
)
def test_zero_sum_flag_is_right(loss: Any, options: dict, zero_sum: bool) -> None:
    """The flag says whether both losses add up to zero, and they do or do not."""
    built = game(loss, **options)
    oracle, z = begin_game(built)
    assert built.zero_sum is is_zero_sum(loss, regularisers_of(**options)) is zero_sum
    loss_x, loss_y = oracle.losses(z)
    assert torch.allclose(loss_x, -loss_y) is zero_sum


def test_shares_follow_their_distribution() -> None:
    """Uniform or normal, one for each image; none are drawn without a penalty."""
    drawn = {
        law: game(penalty=1.0, between=law).draw(generator(0, "data"), 500).drawn[1][0]
        for law in ("uniform", "normal")
    }
    assert all(one.shape == (500, BATCH) for one in drawn.values())
    uniform, normal = drawn["uniform"], drawn["normal"]
    assert uniform.min() >= 0
    assert uniform.max() <= 1
    assert uniform.std().item() == pytest.approx(math.sqrt(1 / 12), rel=0.03)
    assert normal.mean().item() == pytest.approx(0, abs=0.1)
    assert normal.std().item() == pytest.approx(1, rel=0.05)
    assert game().draw(generator(0, "data"), 5).drawn == ((),)


def test_penalised_minibatches_are_paired() -> None:
    """Shares come last: the rest of the minibatch is that of the game without."""
    plain = game().draw(generator(0, "data"), 1)
    penalised = game(penalty=1.0).draw(generator(0, "data"), 1)
    assert torch.equal(plain.real, penalised.real)
    assert torch.equal(plain.noise, penalised.noise)


# ---- spectral normalisation ----


def test_memory_is_what_losses_divide_by() -> None:
    """One power iteration an advance; losses use the vectors remembered."""
    built = game(normalised=True)
    oracle, z = begin_game(built)
    assert [one.shape[1] for one in oracle._state.memory] == [4, 8, 16, 1]
    before, stale = oracle._state.memory, oracle.losses(z)
    oracle._state.advance(z)
    for one, other in zip(
        oracle._state.memory,
        built.discriminator.power_iteration(z[:, built.dim_x :], before),
        strict=True,
    ):
        assert torch.equal(one, other)
    # The minibatch in use keeps its vectors; the next one has the new.
    assert torch.equal(oracle.losses(z)[0], stale[0])
    oracle.resample()
    for one, other in zip(
        oracle._state.sample.vectors, oracle._state.memory, strict=True
    ):
        assert torch.equal(one, other)
    x, y = oracle.split(z)
    sample, divided = oracle._state.sample, y.clone()
    tensors = DISCRIMINATOR.layout.split(divided)
    pairs = zip(oracle._state.memory[::2], oracle._state.memory[1::2], strict=True)
    for name, (left, right) in zip(("0.weight", "3.weight"), pairs, strict=True):
        for run in range(len(z)):
            weight = tensors[name][run]
            weight /= left[run] @ weight.flatten(1) @ right[run]
    loss = oracle.losses(z)[0]
    for run in range(len(z)):
        made = judge(divided[run], fake(x[run], sample.noise[run]))
        expected = judge(divided[run], sample.real[run]).mean() - made.mean()
        torch.testing.assert_close(loss[run], expected, rtol=1e-9, atol=1e-12)


def test_memory_of_dead_runs_is_frozen() -> None:
    """The vectors of runs that have ended stay; those of the other runs change."""
    built = game(normalised=True)
    oracle, z = begin_game(built)
    before = oracle._state.memory
    oracle._state.end_runs(torch.tensor([True, False, True]))
    oracle._state.advance(z + 1)
    for one, other in zip(oracle._state.memory, before, strict=True):
        same = [torch.equal(a, b) for a, b in zip(one, other, strict=True)]
        if one.shape[1] > 1:  # a direction of one number has nowhere to go
            assert same == [False, True, False]


def test_discriminators_without_normalisation_have_no_memory() -> None:
    """Neither a perceptron nor a convolutional network has a memory."""
    z = torch.zeros(3, game().dim, dtype=PLACEMENT.dtype)
    assert game().memory(z) == ()
    players = mlp((2, 4, 2)), mlp((2, 4, 1))
    flat = Images(*players, "wasserstein", 4, (), PLACEMENT)
    assert flat.memory(torch.zeros(3, flat.dim, dtype=PLACEMENT.dtype)) == ()


# ---- evaluation of the players ----


@pytest.mark.parametrize("count", [1, 7, 65, 101])
def test_a_sample_does_not_depend_on_other_samples(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the number of samples nor the other runs change a sample."""
    monkeypatch.setattr(_gan, "POPULATION", 64)
    built = game()
    _, z = begin_game(built)
    many = built.generate(z, 200, SEEDS)
    assert many.shape == (len(SEEDS), 200, *SHAPE)
    few = built.generate(z, count, SEEDS)
    torch.testing.assert_close(few, many[:, :count], rtol=1e-12, atol=1e-13)
    alone = built.generate(z[1:2], count, SEEDS[1:2])
    torch.testing.assert_close(alone[0], few[1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("count", [1, 5, 30])
def test_samples_of_a_perceptron_do_not_depend_on_their_number(count: int) -> None:
    """The first samples are the same for every number of samples."""
    players = mlp((3, 4, 2)), mlp((2, 4, 1))
    flat = Images(*players, "wasserstein", 4, (), PLACEMENT)
    z = torch.ones(2, flat.dim, dtype=PLACEMENT.dtype)
    few, many = (flat.generate(z, one, (0, 1)) for one in (count, 50))
    torch.testing.assert_close(few, many[:, :count], rtol=1e-12, atol=1e-13)


def test_samples_are_normalised_by_the_population() -> None:
    """Statistics are those of all noise, to the accuracy of a thousand draws."""
    built = game()
    _, z = begin_game(built)
    x = z[:, : built.dim_x]
    random = torch.Generator().manual_seed(9)
    noise = torch.randn(1, 50_000, NOISE, generator=random, dtype=PLACEMENT.dtype)
    moments = GENERATOR.moments(x, noise.expand(len(z), -1, -1))
    few = built._evaluation_noise(1024, SEEDS)[:, :40]
    expected = GENERATOR(x, few, moments=moments)
    made = built.generate(z, 40, SEEDS)
    torch.testing.assert_close(made, expected, rtol=0, atol=0.5)
    assert (made - expected).std() < 0.05 * expected.std()


@pytest.mark.parametrize("normalised", [False, True])
def test_logits_are_the_discriminators(
    normalised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images may be given for each run or for all runs, flattened or not."""
    monkeypatch.setattr(_gan, "POPULATION", 4)
    built = game(normalised=normalised)
    _, z = begin_game(built)
    random = torch.Generator().manual_seed(2)
    images = torch.randn(3, 10, *SHAPE, generator=random, dtype=PLACEMENT.dtype)
    own, same = built.logits(z, images), built.logits(z, images[:1])
    assert own.shape == same.shape == (3, 10)
    assert torch.equal(own[0], same[0])
    assert torch.equal(built.logits(z, images.flatten(2)), own)
    y, vectors = z[:, built.dim_x :], built.memory(z)
    expected = built.discriminator(y, images, vectors=vectors)[:, :, 0]
    torch.testing.assert_close(own, expected, rtol=1e-11, atol=1e-12)
    if not normalised:
        for run in range(3):
            torch.testing.assert_close(own[run], judge(y[run], images[run]))


# ---- losses of a GAN ----


@pytest.mark.parametrize("loss", ["saturating", "nonsaturating", "wasserstein"])
@pytest.mark.parametrize("game", ["four_gaussians", "digits01"])
def test_losses_are_cross_entropies(game: str, loss: str) -> None:
    """Both players' losses, written with torch's cross-entropy on logits."""
    oracle, z = start_runs(TASKS.build(f"{game}[hidden=6,noise=3,batch=8,loss={loss}]"))
    oracle.resample()
    size, slope = (2, 0.0) if game == "four_gaussians" else (64, 0.2)
    built, sample = oracle._game, oracle._state.sample
    loss_x, loss_y = oracle.losses(z, train=False)
    for run, (x, y) in enumerate(zip(*oracle.split(z), strict=True)):
        make = torch_mlp((3, 6, 6, size), x, slope=slope, squash=game == "digits01")
        judge = torch_mlp((size, 6, 6, 1), y, slope=slope)
        fake = judge(make(sample.noise[run]))
        real = judge(built.unpack(sample.real)[run])
        ones, zeros = torch.ones_like(fake), torch.zeros_like(fake)
        if loss == "wasserstein":
            expected_y = fake.mean() - real.mean()
        else:
            expected_y = binary_cross_entropy_with_logits(real, ones)
            expected_y = expected_y + binary_cross_entropy_with_logits(fake, zeros)
        expected_x = -expected_y
        if loss == "nonsaturating":
            expected_x = binary_cross_entropy_with_logits(fake, ones)
        torch.testing.assert_close(loss_y[run], expected_y, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(loss_x[run], expected_x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("logit", [800.0, -800.0])
def test_losses_stay_finite_at_confident_logits(logit: float) -> None:
    """Saturated logits give large losses and no NaN, gradients too."""
    oracle, z = start_runs(TASKS.build("four_gaussians[hidden=4,noise=2,batch=4]"))
    oracle.resample()
    last = oracle._game.discriminator.layout.sizes
    z = z.clone()
    z[:, oracle.dim_x + sum(last[:-1])] = logit  # the discriminator's last bias
    for loss in oracle.losses(z):
        assert torch.isfinite(loss).all()
        assert loss.abs().min() > 700
    assert torch.isfinite(oracle.field(z)).all()


@pytest.mark.parametrize("spec", ["digits01[hidden=8]", "conditional_digits"])
def test_noise_in_parts_is_the_noise_of_an_evaluation(spec: str) -> None:
    """To the bit, whatever the size of the parts, and none of it is kept."""
    game = TASKS.build(spec).build(PLACEMENT)
    made = {
        size: list(game._noise_parts(1000, (0, 1, 2), size)) for size in (7, 341, 1000)
    }
    assert game._noise_key is None
    whole = game._inputs(game._evaluation_noise(1000, (0, 1, 2)), 0)
    for size, parts in made.items():
        assert {part.shape[1] for part in parts[:-1]} <= {size}
        assert torch.equal(torch.cat(parts, dim=1), whole)

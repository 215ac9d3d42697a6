"""Networks and GAN losses against torch's own modules, one run at a time."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.tasks._networks import MLP
from mmbench.testing.tools import PLACE, begin

RUNS, BATCH = 3, 7


def modules(mlp: MLP, flat: torch.Tensor) -> nn.Sequential:
    """The same network as a torch module, without dropout."""
    layers: list[nn.Module] = []
    tensors = mlp.layout.split(flat[None])
    last = len(mlp.widths) - 2
    for i in range(last + 1):
        layer = nn.Linear(mlp.widths[i], mlp.widths[i + 1], dtype=flat.dtype)
        with torch.no_grad():
            layer.weight.copy_(tensors[f"weight{i}"][0].T)
            layer.bias.copy_(tensors[f"bias{i}"][0, 0])
        layers.append(layer)
        if i < last:
            layers.append(nn.LeakyReLU(mlp.slope))
    return nn.Sequential(*layers, *([nn.Tanh()] if mlp.squash else []))


@pytest.mark.parametrize(
    "mlp",
    [
        MLP((3, 5, 2)),
        MLP((3, 5, 4, 1), slope=0.2),
        MLP((2, 9), squash=True),
        MLP((3, 5, 4, 2), slope=0.2, squash=True, dropout=0.5, dropped=2),
    ],
)
def test_network_is_torchs(mlp: MLP) -> None:
    """Each run's outputs are those of its own module; no masks, no dropout."""
    random = torch.Generator().manual_seed(2)
    shape = (RUNS, mlp.layout.size)
    flat = torch.randn(shape, generator=random, dtype=torch.float64)
    inputs = torch.randn(
        RUNS, BATCH, mlp.widths[0], generator=random, dtype=torch.float64
    )
    outputs = mlp(flat, inputs)
    assert outputs.shape == (RUNS, BATCH, mlp.widths[-1])
    for run in range(RUNS):
        expected = modules(mlp, flat[run])(inputs[run])
        torch.testing.assert_close(outputs[run], expected, rtol=1e-12, atol=1e-13)


def test_masks_drop_units_of_the_hidden_layers() -> None:
    """A mask of zeros in the last dropped layer leaves the biases after it."""
    mlp = MLP((3, 5, 4, 2), slope=0.2, dropout=0.5, dropped=2)
    assert mlp.mask_width == 9
    flat = torch.randn(1, mlp.layout.size, generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(1, BATCH, 3, generator=torch.Generator().manual_seed(1))
    masks = torch.ones(1, BATCH, 9)
    torch.testing.assert_close(mlp(flat, inputs, masks), mlp(flat, inputs))
    masks[:, :, 5:] = 0
    bias = mlp.layout.split(flat)["bias2"]
    torch.testing.assert_close(mlp(flat, inputs, masks), bias.expand(1, BATCH, 2))
    masks[:, :, 5:], masks[:, :, :5] = 1, 0  # the first layer's come first
    first_dropped = mlp(flat, inputs, masks)
    torch.testing.assert_close(first_dropped, first_dropped[:, :1].expand(1, BATCH, 2))


def test_masks_keep_the_mean() -> None:
    """Units stay with the declared share and are scaled up for it."""
    game = TASKS.build("digits01[hidden=64,batch=128,dropout=0.3]").build(PLACE)
    batch = game.draw(generator(0, "data"), 4)
    for masks in (batch.real_masks, batch.fake_masks):
        assert masks.unique().tolist() == pytest.approx([0, 1 / 0.7], rel=1e-6)
        assert masks.mean().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(batch.real_masks, batch.fake_masks)


def test_orthogonal_starts() -> None:
    """Weights are orthogonal times the gain, biases zero, runs different."""
    mlp = MLP((6, 6, 3))
    flats = [mlp.start(generator(s, "start"), "orthogonal", 0.8) for s in (0, 1)]
    for flat in flats:
        tensors = mlp.layout.split(flat[None])
        weight = tensors["weight0"][0]
        torch.testing.assert_close(
            weight @ weight.T, 0.64 * torch.eye(6), rtol=0, atol=1e-6
        )
        assert not tensors["bias0"].any()
        assert not tensors["bias1"].any()
    assert not torch.equal(*flats)


def test_glorot_starts() -> None:
    """Weights fill ±√(6 / (inputs + outputs)) evenly."""
    mlp = MLP((100, 200, 1))
    flat = mlp.start(generator(0, "start"), "glorot")
    weight = mlp.layout.split(flat[None])["weight0"]
    bound = math.sqrt(6 / 300)
    assert bound * 0.99 < weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


# ---- losses of a GAN ----


@pytest.mark.parametrize("loss", ["saturating", "nonsaturating", "wasserstein"])
@pytest.mark.parametrize("game", ["four_gaussians", "digits01"])
def test_losses_are_cross_entropies(game: str, loss: str) -> None:
    """Both players' losses, written with torch's cross-entropy on logits."""
    oracle, z = begin(TASKS.build(f"{game}[hidden=6,noise=3,batch=8,loss={loss}]"))
    oracle.resample()
    built, sample = oracle._game, oracle._sample
    loss_x, loss_y = oracle.losses(z, train=False)
    for run, (x, y) in enumerate(zip(*oracle.split(z), strict=True)):
        make, judge = modules(built.generator, x), modules(built.discriminator, y)
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
    oracle, z = begin(TASKS.build("four_gaussians[hidden=4,noise=2,batch=4]"))
    oracle.resample()
    last = oracle._game.discriminator.layout.sizes
    z = z.clone()
    z[:, oracle.dim_x + sum(last[:-1])] = logit  # the discriminator's last bias
    for loss in oracle.losses(z):
        assert torch.isfinite(loss).all()
        assert loss.abs().min() > 700
    assert torch.isfinite(oracle.field(z)).all()

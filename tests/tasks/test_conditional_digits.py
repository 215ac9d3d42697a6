"""The conditional GAN: what each player is told, and of which images."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import leaky_relu, one_hot, softplus

from mmbench.core.capability import Capability
from mmbench.core.streams import generator
from mmbench.tasks import TASKS
from mmbench.tasks._networks import Network
from mmbench.testing.tools import PLACEMENT

WORDS = "hidden=6,noise=3,batch=20,dropout=0"
LABELS = torch.from_numpy(load_digits().target)


def start(words: str = WORDS) -> tuple:
    """Return a game, a point of one run with other biases than zero, a minibatch."""
    task = TASKS.build(f"conditional_digits[{words}]")
    game = task.build(PLACEMENT)
    z = task.start(game, generator(0, "start"))[None]
    z = z + 0.1 * torch.randn(z.shape, generator=generator(1, "start"))
    return game, z, game.draw(generator(0, "data"), 1)


def perceptron(network: Network, flat: Tensor, inputs: Tensor) -> Tensor:
    """Return the outputs of one run's perceptron, layer by layer."""
    tensors = [tensor[0] for tensor in network.layout.split(flat).values()]
    signal = inputs
    for i in range(0, len(tensors), 2):
        signal = signal @ tensors[i] + tensors[i + 1]
        if i < len(tensors) - 2:
            signal = leaky_relu(signal, 0.2)
    return signal


def judged(game, z: Tensor, images: Tensor, codes: Tensor) -> Tensor:
    """Return the discriminator's logits of one run's images and their classes."""
    inputs = torch.cat((images, codes), dim=1)
    return perceptron(game.discriminator, z[:, game.dim_x :], inputs)[:, 0]


def test_both_players_are_told_the_class_of_the_real_image() -> None:
    """The losses are those of perceptrons that read the one-hot class of each image."""
    game, z, sample = start()
    loss_x, loss_y = game.losses(z[:, : game.dim_x], z[:, game.dim_x :], sample)
    codes = one_hot(LABELS[sample.real[0]], 10).double()
    noise = torch.cat((sample.noise[0], codes), dim=1)
    made = perceptron(game.generator, z[:, : game.dim_x], noise).tanh()
    real = torch.from_numpy(load_digits().data)[sample.real[0]] / 8 - 1
    on_real, on_made = (judged(game, z, images, codes) for images in (real, made))
    assert loss_x.item() == pytest.approx(softplus(-on_made).mean().item(), rel=1e-9)
    expected = softplus(-on_real).mean() + softplus(on_made).mean()
    assert loss_y.item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_class_is_neither_penalised_nor_disturbed() -> None:
    """R1 is half the squared slope in the pixels alone."""
    plain, z, sample = start()
    game, _, with_r1 = start(f"{WORDS},regularisers=(r1[weight=1])")
    x, y = z[:, : game.dim_x], z[:, game.dim_x :]
    penalty = game.losses(x, y, with_r1)[1] - plain.losses(x, y, sample)[1]
    images = game.unpack(sample.real)[0].requires_grad_()
    codes = one_hot(LABELS[sample.real[0]], 10).double()
    (slope,) = torch.autograd.grad(judged(game, z, images, codes).sum(), images)
    expected = slope.square().sum(1).mean() / 2
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-9)
    noisy = start(f"{WORDS},regularisers=(noise)")
    assert [one.shape for one in noisy[2].drawn[1]] == [(1, 20, 64)] * 2


def test_samples_have_the_classes_in_turn() -> None:
    """Sample i is what the generator makes of its noise and the class i modulo 10."""
    game, z, _ = start()
    made = game.generate(z, 25, (0,))[0]
    assert game.generated_classes(25).tolist() == [*range(10), *range(10), *range(5)]
    drawn = torch.randn(32, 3, generator=generator(0, "evaluation"))[:25].double()
    codes = torch.eye(10, dtype=torch.float64).repeat(3, 1)[:25]
    noise = torch.cat((drawn, codes), dim=1)
    expected = perceptron(game.generator, z[:, : game.dim_x], noise).tanh()
    assert (made - expected).abs().max() < 1e-12


def test_images_alone_have_no_logit() -> None:
    """Metrics that show images to the discriminator are refused; image metrics fit."""
    gives = TASKS.build("conditional_digits").gives
    assert Capability.LOGITS not in gives
    assert {Capability.CLASSES, Capability.IMAGES, Capability.GREY_8} <= gives

"""The published image networks against the same written with torch's modules."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from mmbench.tasks import _image_networks
from mmbench.tasks._networks import Network

GROW = dict(kernel_size=4, stride=2, padding=1)
GROW_5 = dict(kernel_size=5, stride=2, padding=2, output_padding=1)


def up(inputs: int, outputs: int, grow: dict = GROW) -> list[nn.Module]:
    """A transposed convolution with batch normalisation and a rectifier."""
    layer = nn.ConvTranspose2d(inputs, outputs, **grow)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def dcgan(noise: int, width: int, grow: dict) -> list[nn.Module]:
    """The generator of the tables for CIFAR10."""
    features = 256 * width // 64 * 16
    return [
        nn.Linear(noise, features),
        nn.BatchNorm1d(features),
        nn.ReLU(),
        nn.Unflatten(1, (4 * width, 4, 4)),
        *up(4 * width, 2 * width, grow),
        *up(2 * width, width, grow),
        nn.ConvTranspose2d(width, 3, **grow),
        nn.Tanh(),
    ]


def halving(width: int, kernel: int, padding: int, slope: float) -> list[nn.Module]:
    """The discriminator of the tables for CIFAR10."""
    modules: list[nn.Module] = []
    for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        modules.append(nn.Conv2d(before, after, kernel, 2, padding))
        modules.append(nn.LeakyReLU(slope))
    return [*modules, nn.Flatten(), nn.Linear(64 * width, 1)]


def notebook(noise: int, width: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """Both networks of the accept-reject notebook, dropout off."""
    slope, sizes = nn.LeakyReLU(0.2), (4 * width, 2 * width, 2 * width, 2 * width)
    make: list[nn.Module] = [nn.Linear(noise, 64 * width), slope]
    make.append(nn.Unflatten(1, (4 * width, 4, 4)))
    for before, after in pairwise(sizes):
        make += [nn.ConvTranspose2d(before, after, **GROW), slope]
    make += [nn.Conv2d(2 * width, 3, 3, padding=1), nn.Tanh()]
    judge: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), slope]
    for before, after in ((1, 2), (2, 2), (2, 4)):
        judge.append(nn.Conv2d(before * width, after * width, 3, 2, 1))
        judge.append(slope)
    return make, [*judge, nn.Flatten(), nn.Linear(64 * width, 1)]


def digits(noise: int, width: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """Both networks on MNIST, batch normalisation after the rectifier."""
    hidden, features = 32 * width, 4 * width * 49
    make = [
        nn.Linear(noise, hidden),
        nn.ReLU(),
        nn.BatchNorm1d(hidden),
        nn.Linear(hidden, features),
        nn.ReLU(),
        nn.BatchNorm1d(features),
        nn.Unflatten(1, (4 * width, 7, 7)),
        nn.ConvTranspose2d(4 * width, 2 * width, **GROW),
        nn.ReLU(),
        nn.BatchNorm2d(2 * width),
        nn.ConvTranspose2d(2 * width, 1, **GROW),
        nn.Tanh(),
    ]
    judge = [
        nn.Conv2d(1, width, 5),
        nn.LeakyReLU(0.01),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 5),
        nn.LeakyReLU(0.01),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * width, hidden),
        nn.LeakyReLU(0.01),
        nn.Linear(hidden, 1),
    ]
    return make, judge


PAIRS = {
    "icr": (
        _image_networks.icr,
        lambda noise, width: (dcgan(noise, width, GROW), halving(width, 4, 1, 0.01)),
    ),
    "wgan_gp": (
        _image_networks.wgan_gp,
        lambda noise, width: (dcgan(noise, width, GROW_5), halving(width, 5, 2, 0.2)),
    ),
    "mangoubi": (_image_networks.mangoubi, notebook),
    "mnist_icr": (_image_networks.mnist_icr, digits),
}


def parameters(network: Network) -> int:
    """Numbers to be learned, the layout's padding left out."""
    return sum(math.prod(shape) for shape in network.layout.shapes.values())


def filled(network: Network, flat: Tensor, modules: list[nn.Module]) -> nn.Sequential:
    """Torch's network with the parameters of a flat vector, in their order."""
    module = nn.Sequential(*modules).to(flat.dtype)
    tensors = list(network.layout.split(flat[None]).values())
    ours, linear = iter(tensors), {id(one) for one in modules if type(one) is nn.Linear}
    with torch.no_grad():
        for layer in module:
            for parameter in layer.parameters(recurse=False):
                tensor = next(ours)[0]
                if id(layer) in linear:
                    tensor = tensor.T if parameter.ndim == 2 else tensor[0]
                assert tensor.shape == parameter.shape
                parameter.copy_(tensor)
    assert next(ours, None) is None
    return module


@pytest.mark.parametrize(
    ("name", "noise", "width", "expected"),
    [
        # Weights and biases, by hand from the tables of the papers.
        ("icr", 128, 64, (1_195_587, 662_977)),
        ("wgan_gp", 128, 64, (1_565_955, 1_033_345)),
        ("mangoubi", 100, 64, (1_466_115, 522_497)),
        ("mnist_icr", 96, 32, (6_675_009, 1_102_721)),
    ],
)
def test_parameters_are_counted(
    name: str, noise: int, width: int, expected: tuple[int, int]
) -> None:
    """As many as the same networks have in torch."""
    ours, theirs = (make(noise, width) for make in PAIRS[name])
    counts = tuple(
        sum(one.numel() for one in nn.Sequential(*modules).parameters())
        for modules in theirs
    )
    assert tuple(parameters(one) for one in ours) == counts == expected


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("name", PAIRS)
def test_image_networks_are_torchs(name: str, runs: int) -> None:
    """Outputs of each run are those of its own module, generator and discriminator."""
    noise, width = 5, 2
    ours, _ = (make(noise, width) for make in PAIRS[name])
    random = torch.Generator().manual_seed(4)
    for player, network in enumerate(ours):
        flat = 0.3 * torch.randn(
            runs, network.layout.size, generator=random, dtype=torch.float64
        )
        inputs = torch.randn(
            runs, 4, *network.input_shape, generator=random, dtype=torch.float64
        )
        outputs = network(flat, inputs)
        assert outputs.shape == (runs, 4, *network.output_shape)
        for run in range(runs):
            modules = PAIRS[name][1](noise, width)[player]
            expected = filled(network, flat[run], modules)(inputs[run])
            torch.testing.assert_close(outputs[run], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", PAIRS)
def test_players_fit_each_other(name: str) -> None:
    """The discriminator reads the generator's images and returns one logit."""
    generator_, discriminator = PAIRS[name][0](5, 2)
    assert generator_.output_shape == discriminator.input_shape
    assert generator_.input_shape == (5,)
    assert discriminator.output_shape == (1,)
    assert discriminator.dropout == (0.4 if name == "mangoubi" else 0)
    assert discriminator.mask_width == (128 if name == "mangoubi" else 0)

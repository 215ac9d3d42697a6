"""Inception: the sizes of its signals, TensorFlow's resize, and loading."""

import numpy as np
import pytest
import torch
from inception_weights import publish, random_weights, torch_bytes
from torch.nn import functional

from mmbench.core.errors import DataError
from mmbench.metrics import _inception
from mmbench.metrics._inception import Inception, forward, load, resize, shapes
from mmbench.metrics._inception_blocks import NETWORK
from mmbench.metrics._inception_file import fetch

# ---- the network ----


@pytest.fixture(scope="module")
def network():
    """Return the network with random weights."""
    return Inception(random_weights(), "none")


def test_signals_have_the_known_sizes(network):
    """Channels and sides after each block, from the papers' tables."""
    signal = torch.zeros(1, 3, 299, 299)
    sizes = []
    for step in NETWORK:
        signal = forward(network.weights, (step,), signal)
        sizes.append(tuple(signal.shape[1:3]))
    assert sizes == [
        (32, 149),
        (32, 147),
        (64, 147),
        (64, 73),
        (80, 73),
        (192, 71),
        (192, 35),
        (256, 35),
        (288, 35),
        (288, 35),
        (768, 17),
        (768, 17),
        (768, 17),
        (768, 17),
        (768, 17),
        (1280, 8),
        (2048, 8),
        (2048, 8),
    ]


def test_features_and_logits_have_the_known_widths(network):
    """2048 and 1008; the logits leave the bias out; grey is equal colours."""
    generator = torch.Generator().manual_seed(2)
    grey = torch.randint(256, (2, 1, 28, 28), generator=generator, dtype=torch.uint8)
    features, logits = network.features_and_logits(grey)
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    assert features.dtype == logits.dtype == torch.float32
    assert features.std() > 0.01
    torch.testing.assert_close(logits, features @ network.weights["fc.weight"].T)
    colour = grey.repeat(1, 3, 1, 1)
    torch.testing.assert_close(network.features(colour), features)
    torch.testing.assert_close(network.probabilities(grey).sum(1), torch.ones(2))


# ---- the resize ----


def tensorflow_resize(image, side):
    """TensorFlow 1's bilinear resize, a pixel at a time."""
    height, width = image.shape
    rows, columns = np.float32(height / side), np.float32(width / side)
    out = np.empty((side, side), np.float32)
    for i in range(side):
        y = np.float32(i) * rows
        top, down = int(y), np.float32(y - int(y))
        bottom = min(top + 1, height - 1)
        for j in range(side):
            x = np.float32(j) * columns
            left, along = int(x), np.float32(x - int(x))
            right = min(left + 1, width - 1)
            above = image[top, left] + (image[top, right] - image[top, left]) * along
            below = image[bottom, left]
            below = below + (image[bottom, right] - image[bottom, left]) * along
            out[i, j] = above + (below - above) * down
    return out


@pytest.mark.parametrize("size", [(32, 32), (28, 20), (5, 1), (299, 299), (310, 400)])
def test_the_resize_is_tensorflows(size):
    """The bits are equal, whether it enlarges, keeps or shrinks the image."""
    generator = torch.Generator().manual_seed(3)
    image = torch.randint(256, (1, 1, *size), generator=generator).float()
    expected = tensorflow_resize(image[0, 0].numpy(), 299)
    assert np.array_equal(resize(image)[0, 0].numpy(), expected)


def test_the_resize_is_not_that_of_torch():
    """Half pixels would move a 32 x 32 image by four target pixels."""
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    torch_resize = functional.interpolate(
        ramp, (299, 299), mode="bilinear", align_corners=False
    )
    got = resize(ramp)
    assert got[0, 0, 0, 0] == 0
    assert got[0, 0, 0, 28] == pytest.approx(28 * 32 / 299, rel=1e-6)
    middle = (got - torch_resize)[..., 20:250]
    assert middle.min() == pytest.approx(0.5 - 16 / 299, abs=1e-4)


# ---- the file ----


def test_the_whole_network_loads(inception_cache, tmp_path, monkeypatch):
    """All 472 tensors are loaded once for a device, frozen, with the checksum."""
    weights = random_weights()
    source = publish(tmp_path, monkeypatch, torch_bytes(weights))
    fetch(shapes(), source)
    network = load()
    assert network is load(torch.device("cpu"))
    assert network.sha256 == _inception.ORIGINAL_SHA256
    assert network.sha256.startswith("6726825d")
    assert all(torch.equal(network.weights[name], weights[name]) for name in weights)
    assert not any(tensor.requires_grad for tensor in network.weights.values())


def test_without_weights_the_message_names_the_command(inception_cache):
    """The message names the folders and the command."""
    with pytest.raises(DataError, match=r"inception; got none there\. Run mmbench fea"):
        load()

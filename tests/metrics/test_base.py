"""Tests of the iterates that metrics are computed from."""

import weakref

import pytest
import torch
from images import fake_mnist

from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.testing.tools import SEEDS, start_runs

GAUSSIANS = "four_gaussians[hidden=8,noise=4,batch=16]"


def test_shared_samples_are_drawn_once() -> None:
    """Two metrics that ask for as many samples see the same tensor."""
    oracle, z = start_runs(TASKS.build(GAUSSIANS))
    point = Point(oracle._game, z, SEEDS)
    assert point.samples(50) is point.samples(50)
    assert point.samples(60).shape[1] == 60


class Parts(Game):
    """A game whose images come in parts, and which knows how many are alive."""

    dim_x, dim_y = 1, 0
    image_shape = (1, 8, 8)

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
        self.most_alive = 0

    def losses(self, x, y, sample, *, train=True):
        """Fail, because no test computes losses."""
        raise NotImplementedError

    def generate_parts(self, z, count, seeds):
        """Yield ten images at a time, each with its number as a grey."""
        for first in range(0, count, 10):
            numbers = torch.arange(first, min(count, first + 10)) / 127.5 - 1
            part = numbers[None, :, None].repeat(len(z), 1, 64)
            self.alive.add(part)
            self.most_alive = max(self.most_alive, len(self.alive))
            yield part
            del part


def test_images_become_bytes_as_they_are_made() -> None:
    """Parts are in their order and places, and gone when the next but one is made."""
    game = Parts()
    images = Point(game, torch.zeros(2, 1), (0, 1)).images(95)
    assert images.shape == (2, 95, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert images[1, :, 0, 3, 4].tolist() == list(range(95))
    assert game.most_alive <= 2


@pytest.mark.parametrize("spec", ["digits01[hidden=8]", "mnist01"])
def test_a_game_makes_images_in_parts(spec: str, tmp_path, monkeypatch) -> None:
    """Parts have 1024 images of all runs, and are those that `generate` returns."""
    if spec == "mnist01":
        fake_mnist(tmp_path, monkeypatch)
    task = TASKS.build(spec)
    game = task.build(Placement())
    z = task.start(game, generator(0, "start"))[None]
    parts = list(game.generate_parts(z, 1100, (0,)))
    assert [part.shape[1] for part in parts] == [1024, 76]
    torch.testing.assert_close(torch.cat(parts, dim=1), game.generate(z, 1100, (0,)))
    assert not any(part.requires_grad for part in parts)
    several = list(game.generate_parts(z.repeat(4, 1), 300, (0, 1, 2, 3)))
    assert [part.shape[1] for part in several] == [256, 44]
    torch.testing.assert_close(several[0][:1], parts[0][:, :256])


def test_generating_in_parts_leaves_gradients_as_they_were() -> None:
    """Between two parts nothing switches off the gradients of others."""
    task = TASKS.build("digits01[hidden=8]")
    game = task.build(Placement())
    z = task.start(game, generator(0, "start"))[None]
    for _ in game.generate_parts(z, 1100, (0,)):
        assert torch.is_grad_enabled()

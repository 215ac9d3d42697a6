"""The rules of digit coverage, at their thresholds."""

import math

import pytest
import torch

from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.metrics import digit_coverage
from mmbench.metrics.base import Point
from mmbench.metrics.digit_coverage import DigitCoverage
from mmbench.tasks._digit_data import DIGITS_TOP, digits, scale_pixels
from mmbench.tasks.digits01 import Digits01

ZERO, ONE, EIGHT, DOUBT = (0, 0.95), (1, 0.95), (8, 0.99), (0, 0.5)


class Stub:
    """A classifier that reads digit and confidence from two pixels of the image."""

    def probabilities(self, images):
        """Return the probability of each digit."""
        digit, confidence = images[:, 0, 0].long(), images[:, 0, 1]
        rest = ((1 - confidence) / 9)[:, None].expand(-1, 10)
        return rest.scatter(1, digit[:, None], confidence[:, None])


class Album(Game):
    """A game whose generator returns given images, one set for each run."""

    dim_x, dim_y = 1, 0
    image_shape = (1, 8, 8)
    dataset = "digits"
    share_of_ones = 0.5

    def __init__(self, images):
        self.images = images

    def losses(self, x, y, sample, *, train=True):
        """Fail, because no test computes losses."""
        raise NotImplementedError

    def generate(self, z, count, seeds):
        """Return the images, flattened as a generator returns them."""
        assert self.images.shape[1] == count
        return self.images.flatten(2)


def make_images(*runs):
    """Return images for the stub, from the counts of each answer in each run."""
    rows = []
    for run in runs:
        answers = [answer for answer, count in run.items() for _ in range(count)]
        images = torch.zeros(len(answers), 8, 8)
        images[:, 0, :2] = torch.tensor(answers, dtype=torch.float32)
        rows.append(images)
    return torch.stack(rows)


def measure(images):
    """Return the columns for images of shape (runs, count, 8, 8), as lists."""
    runs = len(images)
    at = Point(Album(images), torch.zeros(runs, 1), tuple(range(runs)))
    columns = DigitCoverage(samples=images.shape[1]).measure(at)
    assert set(columns) == {column.name for column in DigitCoverage().columns}
    return {name: column.tolist() for name, column in columns.items()}


@pytest.fixture
def stub(monkeypatch):
    """Replace the shipped classifier by the stub."""
    monkeypatch.setattr(digit_coverage, "load", lambda dataset, device: Stub())


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize(
    ("zeros", "digits_5", "digits_10", "digits_20"),
    [(49, 1, 1, 1), (50, 2, 1, 1), (99, 2, 1, 1), (100, 2, 2, 1), (200, 2, 2, 2)],
)
def test_a_digit_is_generated_from_its_threshold_on(
    zeros, digits_5, digits_10, digits_20
):
    """A share equal to the threshold counts; one image less does not."""
    columns = measure(make_images({ZERO: zeros, ONE: 1000 - zeros}))
    assert columns["digits_5"] == [digits_5]
    assert columns["digits"] == [digits_10]
    assert columns["digits_20"] == [digits_20]


@pytest.mark.usefixtures("stub")
def test_doubt_and_other_digits_are_junk():
    """Other digits, and a confidence below 0.9, are not accepted."""
    mixed = {ZERO: 300, ONE: 400, EIGHT: 100, DOUBT: 150, (1, 0.899): 50}
    columns = measure(make_images(mixed))
    assert columns["junk"] == pytest.approx([0.3])
    assert columns["digit_share_1"] == pytest.approx([4 / 7])
    assert columns["digit_tv"] == pytest.approx([4 / 7 - 1 / 2])
    assert columns["digits"] == [2]


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize(("unsure", "digits"), [(49, 1), (50, 2)])
def test_any_confidence_counts_first_choices(unsure, digits):
    """Zeros of low confidence count from 5 % on; eights never do."""
    columns = measure(make_images({(0, 0.5): unsure, EIGHT: 100, ONE: 900 - unsure}))
    assert columns["digits_any"] == [digits]
    assert columns["digits"] == [1]


@pytest.mark.usefixtures("stub")
def test_a_confidence_of_nine_tenths_is_enough():
    """A confidence equal to the threshold is accepted."""
    columns = measure(make_images({(0, 0.9): 500, (1, 0.9): 500}))
    assert columns["junk"] == [0]


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize(
    ("counts", "success"),
    [
        ({ZERO: 350, ONE: 350, DOUBT: 300}, 1),
        ({ZERO: 350, ONE: 349, DOUBT: 301}, 0),
        ({ZERO: 901, ONE: 99}, 0),
        ({ZERO: 900, ONE: 100}, 1),
    ],
)
def test_success_needs_both_digits_and_little_junk(counts, success):
    """A success needs both conditions, each of which holds at its threshold."""
    assert measure(make_images(counts))["both_digits"] == [success]


@pytest.mark.usefixtures("stub")
def test_without_any_digit_the_share_is_unknown():
    """The share is NaN, the distance is 1, and all images are junk."""
    columns = measure(make_images({EIGHT: 10}))
    assert math.isnan(columns["digit_share_1"][0])
    assert columns["digit_tv"] == [1]
    assert columns["junk"] == [1]
    assert columns["digits"] == [0]
    assert columns["both_digits"] == [0]


@pytest.mark.usefixtures("stub")
def test_runs_are_scored_separately():
    """Permuting runs permutes the columns."""
    runs = ({ZERO: 10}, {ONE: 10}, {ZERO: 4, ONE: 6})
    there, back = measure(make_images(*runs)), measure(make_images(*runs[::-1]))
    assert there["digit_share_1"] == pytest.approx([0, 1, 0.6])
    for name, column in there.items():
        assert column == back[name][::-1]


def test_a_perfect_sampler_is_nearly_perfect():
    """The data have both digits, and the junk and distance in the docstring."""
    pixels, labels = digits().of_classes((0, 1))
    images = scale_pixels(pixels, DIGITS_TOP)
    of_one_class = images[labels == 1][:170], images[labels == 0][:170]
    columns = measure(images[None])
    assert columns["both_digits"] == [1]
    assert columns["junk"][0] == pytest.approx(0.011, abs=0.004)
    assert columns["digit_tv"][0] < 0.01
    collapsed = measure(torch.stack(of_one_class))
    assert collapsed["digits"] == [1, 1]
    assert collapsed["digit_share_1"] == [1, 0]
    assert collapsed["both_digits"] == [0, 0]


def test_digits01_is_measured_and_shown():
    """An untrained generator of the task makes junk; its sheet has images."""
    task, seeds = Digits01(), (0, 5)
    game = task.build(Placement())
    z = torch.stack([task.start(game, generator(seed, "start")) for seed in seeds])
    columns = DigitCoverage(samples=50).measure(Point(game, z, seeds))
    assert columns["junk"].tolist() == [1, 1]
    assert game.sheet(z, seeds).shape == (2, 100, 8, 8)
    assert task.gives >= DigitCoverage.needs

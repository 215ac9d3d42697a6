"""Metrics of images on games: per run, with their names, protocols and ideals."""

import math

import numpy as np
import pytest
import torch

from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.metrics import METRICS, _features
from mmbench.metrics._features import EXTRACTORS, Extractor
from mmbench.metrics._frechet import frechet_distance
from mmbench.metrics.base import Point
from mmbench.metrics.kernel_distance import squared_discrepancy
from mmbench.tasks.digits01 import Digits01

SIX = (
    "frechet_distance",
    "frechet_infinity",
    "kernel_distance",
    "classifier_score",
    "precision_recall",
    "class_histogram",
)


class Album(Game):
    """A game that shows given images of 8 x 8: one set a run, and two real ones.

    Args:
        generated: of bytes, shape (runs, count, 64).
        train: real images, shape (count, 64).
        test: real images, shape (count, 64).
    """

    dim_x, dim_y = 1, 0
    image_shape = (1, 8, 8)

    def __init__(self, generated=None, train=None, test=None):
        self.generated = generated
        self.splits = {"train": train, "test": test}

    def losses(self, x, y, sample, *, train=True):
        """Nobody asks."""
        raise NotImplementedError

    def generate(self, z, count, seeds):
        """The first so many images of each run that z names, from -1 to 1."""
        chosen = self.generated[z[:, 0].long(), :count]
        return chosen.double() / 127.5 - 1

    def real(self, split):
        """The images of that split, and no class."""
        images = self.splits[split].unflatten(1, self.image_shape)
        return images, torch.zeros(len(images), dtype=torch.long)


def noise(*shape, seed=0, high=256):
    """Images of bytes."""
    random = generator(seed, "test")
    return torch.randint(high, (*shape, 64), generator=random).to(torch.uint8)


def measured(words, game, order=(0,)):
    """Columns of the runs in that order."""
    z = torch.tensor(order, dtype=torch.float32)[:, None]
    columns = METRICS.build(words).measure(Point(game, z, tuple(order)))
    return {name: values.tolist() for name, values in columns.items()}


@pytest.fixture
def pixels(monkeypatch):
    """A network whose features and logits are the pixels, under the name of another."""

    def network(images):
        values = images.flatten(1).float() / 255
        return values, 100 * values[:, :10]

    stub = Extractor("digitscnn", "0", "none", 64, 10, None, lambda device: network)
    monkeypatch.setitem(EXTRACTORS, "digitscnn", stub)
    monkeypatch.setattr(_features, "_of_content", {})


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("metric", SIX)
def test_runs_are_judged_apart(metric):
    """Permuting runs permutes the columns, and a lone run gets the same bits."""
    game = Album(noise(3, 80), noise(90, seed=1), noise(40, seed=2))
    words = f"{metric}[features=digitscnn,count=80]"
    there, back = (measured(words, game, one) for one in ((0, 1, 2), (2, 0, 1)))
    alone = measured(words, game, (1,))
    for name, values in there.items():
        assert len(set(values)) > 1 or name.startswith("classes"), name
        assert back[name] == [values[2], values[0], values[1]]
        assert alone[name] == [values[1]]


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("metric", SIX)
def test_measuring_leaves_the_global_generator_alone(metric):
    """Subsets come from fixed streams: the same each time, and no side effect."""
    game = Album(noise(1, 80), noise(90, seed=1), noise(40, seed=2))
    words = f"{metric}[features=digitscnn,count=80]"
    before = torch.get_rng_state()
    assert measured(words, game) == measured(words, game)
    assert METRICS.build(words).real_score(game) == METRICS.build(words).real_score(
        game
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("pixels")
def test_real_images_as_generated_ones_are_perfect():
    """The data themselves: no distance, every class, all covered."""
    real = noise(60, seed=1)
    game = Album(real[None], real, real)

    def value(words):
        ((found,),) = measured(words, game).values()
        return found

    assert value("frechet_distance[features=digitscnn,count=60]") < 1e-6
    assert value("kernel_distance[features=digitscnn,count=60]") < 1e-6
    classes = measured("class_histogram[features=digitscnn,count=60]", game)
    assert classes["class_tv_digitscnn_60"] == [0]
    assert classes["classes_digitscnn_60"] == [10]
    neighbours = measured("precision_recall[features=digitscnn,count=60]", game)
    for word in ("precision", "recall", "coverage"):
        assert neighbours[f"{word}_digitscnn_60"] == [1]


@pytest.mark.usefixtures("pixels")
def test_the_columns_are_what_the_parts_say():
    """Distances of the pixels, computed here from the pixels."""
    game = Album(noise(1, 70, high=200), noise(90, seed=1), noise(40, seed=2))
    ours, theirs = game.generated[0] / 255, game.splits["train"] / 255
    words = "[features=digitscnn,count=70]"
    (found,) = measured(f"frechet_distance{words}", game).values()
    assert found == pytest.approx([frechet_distance(ours, theirs).item()], rel=1e-6)
    found = measured("kernel_distance[features=digitscnn,count=70,subsets=300]", game)
    expected = squared_discrepancy(ours, theirs).item()
    assert found["kd_digitscnn_70"] == pytest.approx([expected], rel=0.1)
    found = measured(f"class_histogram{words}", game)
    counts = [
        np.bincount(one[:, :10].argmax(1), minlength=10) for one in (ours, theirs)
    ]
    variation = np.abs(counts[0] / 70 - counts[1] / 90).sum() / 2
    assert found["class_tv_digitscnn_70"] == pytest.approx([variation])


@pytest.mark.usefixtures("pixels")
def test_lost_classes_and_those_that_no_real_image_has():
    """A class counts when generated and real images have it."""

    def of(*answers):
        images = torch.zeros(len(answers), 64, dtype=torch.uint8)
        images[torch.arange(len(answers)), torch.tensor(answers)] = 255
        return images

    real = of(*[0] * 50, *[1] * 30, *[2] * 20)
    game = Album(torch.stack([of(*[0] * 99, 1), of(*[9] * 100)]), real, real)
    found = measured("class_histogram[features=digitscnn,count=100]", game, (0, 1))
    assert found["classes_digitscnn_100"] == [2, 0]
    assert found["class_tv_digitscnn_100"] == pytest.approx([0.49, 1])


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("metric", SIX)
def test_the_ideal_is_the_other_split(metric):
    """What generated images get that are the test images, in the order drawn."""
    train, test = noise(90, seed=1), noise(50, seed=2)
    game = Album(None, train, test)
    order = torch.randperm(50, generator=generator(0, "metrics/real"))
    built = METRICS.build(f"{metric}[features=digitscnn,count=50]")
    same = Album(test[order][None], train, test)
    columns = built.measure(Point(same, torch.zeros(1, 1), (0,)))
    expected = {name: values.item() for name, values in columns.items()}
    assert built.real_score(game) == pytest.approx(expected, rel=1e-12)
    assert list(expected) == [column.name for column in built.columns]


@pytest.mark.usefixtures("pixels")
def test_the_ideal_against_the_test_split_is_of_the_train_split():
    """Never an image against itself; as many as are generated."""
    train, test = noise(90, seed=1), noise(50, seed=2)
    metric = METRICS.build("frechet_distance[features=digitscnn,count=20,split=test]")
    (found,) = metric.real_score(Album(None, train, test)).values()
    order = torch.randperm(90, generator=generator(0, "metrics/real"))[:20]
    expected = frechet_distance(train[order] / 255, test / 255).item()
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("pixels")
def test_fewer_real_images_are_used_where_asked():
    """`real` limits the reference."""
    train = noise(90, seed=1)
    game = Album(noise(1, 20), train, noise(50, seed=2))
    words = "frechet_distance[features=digitscnn,count=20,real=30]"
    order = torch.randperm(90, generator=generator(0, "metrics/real"))[:30]
    expected = frechet_distance(game.generated[0] / 255, train[order] / 255).item()
    assert measured(words, game)["fd_digitscnn_20"] == pytest.approx([expected])


@pytest.mark.parametrize("metric", SIX)
def test_broken_runs_are_measured(metric):
    """A generator that gives NaN makes grey images, and every number is finite."""
    game = Digits01(hidden=8).build(Placement())
    z = torch.full((1, game.dim), math.nan)
    columns = METRICS.build(f"{metric}[features=digitscnn,count=40]").measure(
        Point(game, z, (0,))
    )
    for name, values in columns.items():
        assert torch.isfinite(values).all(), name


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("frechet_distance", ["fd_cifar10cnn_10k"]),
        ("frechet_distance[features=inception]", ["fid_10k"]),
        ("frechet_distance[features=inception,count=50000]", ["fid_50k"]),
        ("frechet_distance[features=mnistcnn,count=500]", ["fd_mnistcnn_500"]),
        ("frechet_distance[count=2500,split=test]", ["fd_cifar10cnn_2500_test"]),
        ("frechet_infinity", ["fdinf_cifar10cnn_10k"]),
        ("frechet_infinity[features=inception,count=2000]", ["fidinf_2k"]),
        ("kernel_distance[count=2000]", ["kd_cifar10cnn_2k"]),
        ("kernel_distance[features=inception,split=test]", ["kid_10k_test"]),
        ("classifier_score", ["cs_cifar10cnn_10k"]),
        ("classifier_score[features=inception]", ["is_10k"]),
        (
            "class_histogram[features=inception]",
            ["classes_inception_10k", "class_tv_inception_10k"],
        ),
        (
            "precision_recall",
            [
                f"{word}_cifar10cnn_10k"
                for word in ("precision", "recall", "density", "coverage")
            ],
        ),
    ],
)
def test_names_of_columns(words, names):
    """Network and number are in the name; FID, KID and IS are Inception's alone."""
    assert [column.name for column in METRICS.build(words).columns] == names


@pytest.mark.parametrize("metric", SIX)
def test_the_protocol_says_who_looked_at_what(metric):
    """Network, weights, resize and numbers, as text or whole numbers."""
    built = METRICS.build(f"{metric}[features=mnistcnn,count=300]")
    protocol = built.protocol
    assert protocol["features"] == "mnistcnn"
    assert protocol["sha256"] == EXTRACTORS["mnistcnn"].sha256
    assert protocol["resize"] == "none"
    assert protocol["generated"] == 300
    if metric != "classifier_score":
        assert protocol["split"] == "train"
        assert "real" in protocol
    assert all(isinstance(value, str | int) for value in protocol.values())
    assert built.needs == {Capability.IMAGES, Capability.GREY_28}


def test_numbers_that_do_not_fit_are_refused():
    """Before any work starts, in one sentence."""
    with pytest.raises(DescriptionError, match="splits must be at most"):
        METRICS.build("classifier_score[count=9]")
    with pytest.raises(DescriptionError, match="must be below its counts of images"):
        METRICS.build("precision_recall[real=5]")
    with pytest.raises(DescriptionError, match=r"count must be .* at least 2"):
        METRICS.build("frechet_distance[count=1]")
    with pytest.raises(DescriptionError, match="features must be 'cifar10cnn' or"):
        METRICS.build("frechet_distance[features=vgg]")


def test_small_digits_end_to_end():
    """An untrained generator is far from the data, whose own splits are near."""
    task = Digits01(hidden=8)
    game = task.build(Placement())
    z = task.start(game, generator(0, "start"))[None]
    point = Point(game, z, (0,))
    for metric in ("frechet_distance", "kernel_distance"):
        built = METRICS.build(f"{metric}[features=digitscnn,count=100]")
        ((name, found),) = built.measure(point).items()
        assert found.item() > 20 * abs(built.real_score(game)[name])
    built = METRICS.build("classifier_score[features=digitscnn,count=100,splits=1]")
    assert built.real_score(game)["cs_digitscnn_100"] == pytest.approx(2, abs=0.15)
    built = METRICS.build("class_histogram[features=digitscnn,count=100]")
    ideal = built.real_score(game)
    assert ideal["classes_digitscnn_100"] == 2
    assert ideal["class_tv_digitscnn_100"] < 0.1

"""Tests of image metrics on games: values, names, protocols, scores of real data."""

import math

import numpy as np
import pytest
import torch
from images import fake_cifar10, fake_mnist

from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.metrics import METRICS, _features
from mmbench.metrics._features import EXTRACTORS, Extractor
from mmbench.metrics._frechet import frechet_distance
from mmbench.metrics.base import Point
from mmbench.metrics.kernel_distance import squared_mmd
from mmbench.tasks import TASKS
from mmbench.tasks._digit_data import digits_split
from mmbench.tasks.digits01 import Digits01

SPLITS = ("train", "test")

IMAGE_METRICS = (
    "frechet_distance",
    "frechet_infinity",
    "kernel_distance",
    "classifier_score",
    "precision_recall",
    "class_histogram",
)


class Album(Game):
    """A game with given images of 8 x 8: one set for each run, and two real sets.

    Args:
        generated: 8-bit images, shape (runs, count, 64).
        train: real images, shape (count, 64).
        test: real images, shape (count, 64).
    """

    dim_x, dim_y = 1, 0
    image_shape = (1, 8, 8)

    def __init__(self, generated=None, train=None, test=None):
        self.generated = generated
        self.splits = {"train": train, "test": test}

    def losses(self, x, y, sample, *, train=True):
        """Fail, because no test computes losses."""
        raise NotImplementedError

    def generate(self, z, count, seeds):
        """Return the first images of the runs that z indexes, from -1 to 1."""
        chosen = self.generated[z[:, 0].long(), :count]
        return chosen.double() / 127.5 - 1

    def real(self, split):
        """Return the images of the split, all of class 0."""
        images = self.splits[split].unflatten(1, self.image_shape)
        return images, torch.zeros(len(images), dtype=torch.long)


def noise(*shape, seed=0, high=256):
    """Return random 8-bit images."""
    random = generator(seed, "test")
    return torch.randint(high, (*shape, 64), generator=random).to(torch.uint8)


def measure(spec, game, order=(0,)):
    """Return the columns of the runs in the given order."""
    z = torch.tensor(order, dtype=torch.float32)[:, None]
    columns = METRICS.build(spec).measure(Point(game, z, tuple(order)))
    return {name: values.tolist() for name, values in columns.items()}


@pytest.fixture
def pixels(monkeypatch):
    """Replace an extractor by one whose features and logits are the pixels."""

    def network(images):
        values = images.flatten(1).float() / 255
        return values, 100 * values[:, :10]

    stub = Extractor("digitscnn", "0", "none", 64, 10, None, lambda device: network)
    monkeypatch.setitem(EXTRACTORS, "digitscnn", stub)
    monkeypatch.setattr(_features, "_by_content", {})


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("metric", IMAGE_METRICS)
def test_runs_are_scored_separately(metric):
    """Permuting runs permutes the columns, and a single run gets the same bits."""
    game = Album(noise(3, 80), noise(90, seed=1), noise(40, seed=2))
    spec = f"{metric}[features=digitscnn,count=80]"
    there, back = (measure(spec, game, order) for order in ((0, 1, 2), (2, 0, 1)))
    alone = measure(spec, game, (1,))
    for name, values in there.items():
        assert len(set(values)) > 1 or name.startswith("classes"), name
        assert back[name] == [values[2], values[0], values[1]]
        assert alone[name] == [values[1]]


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("metric", IMAGE_METRICS)
def test_measuring_does_not_use_the_global_generator(metric):
    """Subsets are drawn from fixed streams, so values are reproducible."""
    game = Album(noise(1, 80), noise(90, seed=1), noise(40, seed=2))
    spec = f"{metric}[features=digitscnn,count=80]"
    before = torch.get_rng_state()
    assert measure(spec, game) == measure(spec, game)
    assert METRICS.build(spec).real_score(game) == METRICS.build(spec).real_score(game)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("pixels")
def test_real_images_as_generated_ones_score_best():
    """The data have no distance to themselves, all classes, and full coverage."""
    real = noise(60, seed=1)
    game = Album(real[None], real, real)

    def value(spec):
        ((score,),) = measure(spec, game).values()
        return score

    assert value("frechet_distance[features=digitscnn,count=60]") < 1e-6
    assert value("kernel_distance[features=digitscnn,count=60]") < 1e-6
    classes = measure("class_histogram[features=digitscnn,count=60]", game)
    assert classes["class_tv_digitscnn_60"] == [0]
    assert classes["classes_digitscnn_60"] == [10]
    neighbours = measure("precision_recall[features=digitscnn,count=60]", game)
    for quantity in ("precision", "recall", "coverage"):
        assert neighbours[f"{quantity}_digitscnn_60"] == [1]


@pytest.mark.usefixtures("pixels")
def test_columns_are_those_of_the_functions():
    """The columns are the distances that the functions give for the pixels."""
    game = Album(noise(1, 70, high=200), noise(90, seed=1), noise(40, seed=2))
    generated, real = game.generated[0] / 255, game.splits["train"] / 255
    options = "[features=digitscnn,count=70]"
    (found,) = measure(f"frechet_distance{options}", game).values()
    assert found == pytest.approx([frechet_distance(generated, real).item()], rel=1e-6)
    found = measure("kernel_distance[features=digitscnn,count=70,subsets=300]", game)
    expected = squared_mmd(generated, real).item()
    assert found["kd_digitscnn_70"] == pytest.approx([expected], rel=0.1)
    found = measure(f"class_histogram{options}", game)
    counts = [
        np.bincount(images[:, :10].argmax(1), minlength=10)
        for images in (generated, real)
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
    found = measure("class_histogram[features=digitscnn,count=100]", game, (0, 1))
    assert found["classes_digitscnn_100"] == [2, 0]
    assert found["class_tv_digitscnn_100"] == pytest.approx([0.49, 1])


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("metric", IMAGE_METRICS)
def test_score_of_real_data_is_of_the_other_split(metric):
    """It is the score of generated images that equal the test images."""
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
def test_score_of_real_data_against_the_test_split_is_of_the_train_split():
    """No image is compared with itself, and the number is that of generated images."""
    train, test = noise(90, seed=1), noise(50, seed=2)
    metric = METRICS.build("frechet_distance[features=digitscnn,count=20,split=test]")
    (found,) = metric.real_score(Album(None, train, test)).values()
    order = torch.randperm(90, generator=generator(0, "metrics/real"))[:20]
    expected = frechet_distance(train[order] / 255, test / 255).item()
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("pixels")
def test_the_number_of_real_images_can_be_limited():
    """`real` limits the number of images in the reference."""
    train = noise(90, seed=1)
    game = Album(noise(1, 20), train, noise(50, seed=2))
    spec = "frechet_distance[features=digitscnn,count=20,real=30]"
    order = torch.randperm(90, generator=generator(0, "metrics/real"))[:30]
    expected = frechet_distance(game.generated[0] / 255, train[order] / 255).item()
    assert measure(spec, game)["fd_digitscnn_20"] == pytest.approx([expected])


class Partial(Game):
    """A game of three runs that generate noise, of which two have a broken pixel."""

    dim_x, dim_y = 1, 0
    image_shape = (1, 8, 8)

    def losses(self, x, y, sample, *, train=True):
        """Fail, because no test computes losses."""
        raise NotImplementedError

    def generate(self, z, count, seeds):
        """Return images from -1 to 1; the last one of two runs has a broken pixel."""
        images = 2 * torch.rand(3, count, 64, generator=generator(0, "test")) - 1
        images[1, -1, 17], images[2, -1, 63] = torch.nan, torch.inf
        return images

    def real(self, split):
        """Return noise."""
        images = noise(90, seed=1).unflatten(1, self.image_shape)
        return images, torch.zeros(len(images), dtype=torch.long)


@pytest.mark.parametrize("metric", IMAGE_METRICS)
def test_a_pixel_that_is_not_finite_is_told(metric):
    """One NaN in one image of a run makes its values NaN, and those of no other run."""
    point = Point(Partial(), torch.zeros(3, 1), (0, 1, 2))
    built = METRICS.build(f"{metric}[features=digitscnn,count=40]")
    for name, values in built.measure(point).items():
        assert values.isnan().tolist() == [False, True, True], name


@pytest.mark.parametrize("metric", IMAGE_METRICS)
def test_broken_runs_have_no_value(metric):
    """A generator that returns NaN makes grey images, which are not measured."""
    game = Digits01(hidden=8).build(Placement())
    z = torch.full((1, game.dim), math.nan)
    columns = METRICS.build(f"{metric}[features=digitscnn,count=40]").measure(
        Point(game, z, (0,))
    )
    for name, values in columns.items():
        assert values.isnan().all(), name


@pytest.mark.parametrize(
    ("spec", "names"),
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
                f"{quantity}_cifar10cnn_10k"
                for quantity in ("precision", "recall", "density", "coverage")
            ],
        ),
    ],
)
def test_names_of_columns(spec, names):
    """A name has the network and the number; FID, KID and IS are Inception's only."""
    assert [column.name for column in METRICS.build(spec).columns] == names


@pytest.mark.parametrize("metric", IMAGE_METRICS)
def test_the_protocol_describes_network_and_images(metric):
    """It has the network, its weights, the resize and the numbers of images."""
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


def test_inconsistent_counts_are_refused():
    """The error comes before any computation."""
    with pytest.raises(DescriptionError, match="splits must be at most"):
        METRICS.build("classifier_score[count=9]")
    with pytest.raises(DescriptionError, match="must be below its counts of images"):
        METRICS.build("precision_recall[real=5]")
    with pytest.raises(DescriptionError, match=r"count must be .* at least 2"):
        METRICS.build("frechet_distance[count=1]")
    with pytest.raises(DescriptionError, match="features must be 'cifar10cnn' or"):
        METRICS.build("frechet_distance[features=vgg]")


def test_metrics_of_small_digits():
    """An untrained generator is far from the data; the two splits are near."""
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
    real_score = built.real_score(game)
    assert real_score["classes_digitscnn_100"] == 2
    assert real_score["class_tv_digitscnn_100"] < 0.1


@pytest.mark.parametrize("task", ["digits01", "mnist01", "mnist_icr", "cifar10"])
def test_training_and_test_images_are_disjoint(task, tmp_path, monkeypatch):
    """No real image that a score is of is in the reference or drawn by the game."""
    if task != "digits01":
        if task == "cifar10":
            fake_cifar10(tmp_path, monkeypatch)
        else:
            fake_mnist(tmp_path, monkeypatch)
    game = TASKS.build(task).build(Placement())
    drawn = game.unpack(game.draw(generator(0, "data"), 4).real).flatten(0, 1)
    sets = [images.flatten(1).tolist() for images, _ in map(game.real, SPLITS)]
    train, test = ({tuple(image) for image in images} for images in sets)
    assert len(test) > 10
    assert not train & test
    seen = ((drawn.flatten(1) + 1) * 127.5).round().int().tolist()
    assert {tuple(image) for image in seen} <= train


def test_the_score_of_small_digits_is_of_images_that_are_not_in_the_reference():
    """Of 77 test images against 283 training images, by the functions themselves."""
    game = Digits01().build(Placement())
    train, test = digits_split().of_classes((0, 1))
    images = [(part.pixels * (255 / 16)).round() for part in (train, test)]
    assert [len(part) for part in images] == [283, 77]
    real, scored = (
        EXTRACTORS["digitscnn"](part[:, None].to(torch.uint8), torch.device("cpu"))
        for part in images
    )
    options = "[features=digitscnn,count=100]"
    found = METRICS.build(f"frechet_distance{options}").real_score(game)
    expected = frechet_distance(scored.features, real.features).item()
    assert found == {"fd_digitscnn_100": pytest.approx(expected)}
    assert found == {"fd_digitscnn_100": pytest.approx(18.04, abs=0.01)}
    found = METRICS.build(f"precision_recall{options}").real_score(game)
    assert found["precision_digitscnn_100"] == pytest.approx(63 / 77)


@pytest.mark.parametrize(
    ("metric", "fewest"),
    [
        ("frechet_distance", 2),
        ("kernel_distance", 2),
        ("class_histogram", 2),
        ("frechet_infinity", 20),
        ("precision_recall[k=8]", 9),
        ("precision_recall[k=2,k_coverage=7]", 8),
    ],
)
def test_too_few_real_images_are_refused_before_any_work(metric, fewest):
    """The message names the metric, what it needs, the task and what it has."""
    built = METRICS.build(metric)
    assert built.fewest == fewest
    built.check_images("cifar10", {"train": fewest, "test": 0})
    built.check_images("cifar10", {})
    sentence = (
        rf"needs at least {fewest} real images .* 'train'; album has {fewest - 1}"
    )
    with pytest.raises(MisfitError, match=sentence):
        built.check_images("album", {"train": fewest - 1, "test": 100})


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize(
    ("metric", "fewest"), [("classifier_score", 10), ("precision_recall", 6)]
)
def test_too_few_test_images_have_no_score(metric, fewest):
    """Runs are measured; what real images get is left out."""
    built = METRICS.build(f"{metric}[features=digitscnn,count=40]")
    for count in (fewest - 1, fewest):
        game = Album(noise(1, 40), noise(90, seed=1), noise(count, seed=2))
        columns = built.measure(Point(game, torch.zeros(1, 1), (0,)))
        assert all(values.isfinite().all() for values in columns.values())
        assert bool(built.real_score(game)) == (count == fewest)

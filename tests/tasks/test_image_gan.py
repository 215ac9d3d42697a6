"""Tasks on images: the numbers of images they state, and fields that do not fit."""

import pytest
from images import fake_cifar10, fake_mnist

from mmbench.core.errors import DescriptionError
from mmbench.core.placement import Placement
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS
from mmbench.tasks.cifar10 import NETWORKS


def test_the_stated_numbers_of_images_are_those_of_the_game() -> None:
    """The small digits come with scikit-learn; the other sets are checked by hash."""
    task = TASKS.build("digits01")
    game = task.build(Placement())
    found = {split: len(game.real(split)[0]) for split in ("train", "test")}
    assert task.real_images == found


@pytest.mark.parametrize(
    ("task", "train"),
    [
        ("cifar10", 50_000),
        ("cifar10[images=7]", 7),
        ("mnist_icr", 60_000),
        ("mnist_icr[images=60000]", 60_000),
        ("mnist01", 12_665),
    ],
)
def test_training_images_can_be_limited(task: str, train: int) -> None:
    """The number of test images stays that of the data set."""
    test = 2115 if task == "mnist01" else 10_000
    assert TASKS.build(task).real_images == {"train": train, "test": test}


@pytest.mark.parametrize(("name", "most"), [("cifar10", 50_000), ("mnist_icr", 60_000)])
def test_more_images_than_there_are_are_refused(name: str, most: int) -> None:
    """Otherwise two keys would name one game."""
    with pytest.raises(DescriptionError, match=rf"images must be at most {most}; got"):
        TASKS.build(f"{name}[images={most + 1}]")


@pytest.mark.parametrize("task", ["cifar10", "cifar10[networks=wgan_gp]", "mnist_icr"])
def test_batch_normalisation_of_one_image_is_refused(task: str) -> None:
    """A batch of one has no deviation by which it could be divided."""
    spec = task.removesuffix("]") + (",batch=1]" if "[" in task else "[batch=1]")
    with pytest.raises(DescriptionError, match="batch must be at least 2, since .* 1"):
        TASKS.build(spec)


@pytest.mark.parametrize(
    "task",
    ["mnist_icr", *(f"cifar10[networks={name}]" for name in NETWORKS)],
)
def test_tasks_know_whether_their_generator_normalises(task: str) -> None:
    """The statement of the task is what its network does."""
    built = TASKS.build(task)
    assert built.has_batch_norm == built.players[0].has_batch_norm


def test_batches_of_one_are_allowed_without_batch_normalisation() -> None:
    """The third pair of networks normalises nothing."""
    assert TASKS.build("cifar10[networks=mangoubi,batch=1]").batch == 1


@pytest.mark.parametrize("name", ["cifar10", "mnist_icr"])
def test_the_first_images_are_taken(name, tmp_path, monkeypatch) -> None:
    """The others are not drawn, and none of them moves to the test images."""
    fake = fake_cifar10 if name == "cifar10" else fake_mnist
    folder = Placement(data_dir=fake(tmp_path, monkeypatch))
    every, few = (TASKS.build(name + rest).build(folder) for rest in ("", "[images=3]"))
    assert few.real("train")[0].equal(every.real("train")[0][:3])
    assert few.real("test")[0].equal(every.real("test")[0])
    assert len(few.pixels) == 3


@pytest.mark.parametrize("images", [0, 1, 20, 499, 500, 60_000])
def test_own_metrics_fit_a_limited_number_of_images(images: int) -> None:
    """The drift takes 500 images, or as many as there are."""
    task = TASKS.build(f"mnist_icr[images={images}]")
    (drift,) = (METRICS.build(spec) for spec in task.metrics if "drift" in spec)
    assert drift == METRICS.build(f"drift[images={min(images or 500, 500)}]")
    drift.check_images("mnist_icr", task.real_images)

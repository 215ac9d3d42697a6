"""What asv watches: all that is registered, in finite numbers, less is better."""

import importlib.util
import math
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from playable import playable
from spec_variants import slow
from torch import Tensor

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.gda import GDA
from mmbench.core.oracle import Oracle
from mmbench.core.placement import Placement
from mmbench.tasks import TASKS

# The tracks of the others are slow tests.
FEW = ("gda", "cgd")
FOLDER = Path(__file__).parents[2] / "benchmarks" / "watched"


@pytest.fixture(scope="module", autouse=True)
def watched() -> ModuleType:
    """The folder as a package; as asv imports it, but for the path."""
    return load("watched")


def load(name: str) -> ModuleType:
    """The folder as a package of that name, made from the registries as they are."""
    spec = importlib.util.spec_from_file_location(
        name, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    for path in FOLDER.glob("*.py"):
        importlib.import_module(f"{name}.{path.stem}")
    return module


def families(watched: ModuleType, prefix: str) -> list[tuple[type, str]]:
    """Classes and their methods of one kind of benchmark."""
    modules = [watched.speed, watched.quality, watched.parts]
    return [
        (cls, name)
        for module in modules
        for cls in vars(module).values()
        if isinstance(cls, type) and cls.__module__ == module.__name__
        for name in dir(cls)
        if name.startswith(prefix)
    ]


@pytest.mark.parametrize("prefix", ["time_cell", "peakmem_", "track_"])
def test_every_algorithm_is_watched(watched: ModuleType, prefix: str) -> None:
    """All registered algorithms are parameters of every family of cells."""
    found = families(watched, prefix)
    assert found
    for cls, name in found:
        assert cls.params[0] == list(ALGORITHMS), name


def test_every_task_is_watched(watched: ModuleType) -> None:
    """All registered tasks are timed, each in one of the two classes."""
    cells, images = watched.speed.Cells, watched.speed.ImageCells
    assert sorted(cells.params[1] + images.params[1]) == sorted(TASKS)
    assert cells.params[2] == [1, 32, 128, 512]


def test_quality_of_every_task_is_watched_or_a_reason_is_given(
    watched: ModuleType,
) -> None:
    """No registered task is left out in silence, and no reason outlives its task."""
    games, quality = watched.games, watched.quality
    assert quality.Solved.params[1] == list(games.SOLVED)
    assert quality.Generating.params[1] == list(games.GENERATING)
    in_one = [*games.SOLVED, *games.GENERATING, *games.UNWATCHED]
    assert sorted(in_one) == sorted(TASKS)
    assert all(games.UNWATCHED.values())


def test_a_new_task_is_watched_from_its_first_day(
    watched: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line in the registry is enough, whether it is solved or generates."""
    made_up = {
        "like_quadratic": "quadratic:Quadratic",
        "like_four_gaussians": "four_gaussians:FourGaussians",
        "like_mnist01": "mnist01:MNIST01",
    }
    for name, place in made_up.items():
        monkeypatch.setitem(TASKS.members, name, f"mmbench.tasks.{place}")
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    anew = load("watched_anew")
    quality = anew.quality
    monkeypatch.setattr(quality, "RUNS", 2)
    assert set(made_up) <= {*anew.speed.Cells.params[1], *anew.cells.IMAGES}
    assert quality.Solved.params[1] == [*watched.games.SOLVED, "like_quadratic"]
    assert quality.Generating.params[1] == [
        *watched.games.GENERATING,
        "like_four_gaussians",
        "like_mnist01",
    ]
    solved = quality.Solved()
    solved.setup("gda", "like_quadratic")
    assert solved.track_left("gda", "like_quadratic") > 0
    generating = quality.Generating()
    generating.setup("gda", "like_four_gaussians")
    generating.cell = replace(generating.cell, seeds=(0,), steps=1)
    assert 0 <= generating.track_missed("gda", "like_four_gaussians") <= 4
    with pytest.raises(NotImplementedError, match="needs data"):  # asv shows n/a
        generating.setup("gda", "like_mnist01")


@pytest.mark.parametrize(
    ("task", "modes"), [("four_gaussians", 4), ("digits01", 2), ("mnist01", 2)]
)
def test_a_task_tells_how_many_modes_it_has(
    watched: ModuleType, task: str, modes: int
) -> None:
    """So that nobody has to write it down a second time."""
    assert watched.games.modes(TASKS[task]()) == modes


@pytest.mark.parametrize("prefix", ["time_", "peakmem_", "track_"])
def test_versions_are_set_by_hand(watched: ModuleType, prefix: str) -> None:
    """Else an edit of a benchmark would silently end its history."""
    for cls, name in families(watched, prefix):
        assert isinstance(getattr(cls, name).version, str), name


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_small_cells_run(watched: ModuleType, algorithm: str) -> None:
    """Each algorithm is timed and measured without an error."""
    game = playable(algorithm, "bilinear").partition("[")[0]
    benchmark = watched.speed.Cells()
    benchmark.setup(algorithm, game, 2)
    benchmark.cell = replace(benchmark.cell, steps=2)
    benchmark.time_cell(algorithm, game, 2)
    benchmark.peakmem_cell(algorithm, game, 2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_steps_of_each_algorithm_are_counted(
    watched: ModuleType, algorithm: str
) -> None:
    """On the first of the games that it plays."""
    benchmark = watched.speed.Steps()
    for task in watched.speed.COUNTED:
        with suppress(NotImplementedError):
            benchmark.setup(algorithm, task)
            break
    assert benchmark.track_operations(algorithm, task) > 0
    assert benchmark.track_written(algorithm, task) > 0


class Copying(GDA):
    """Gradient descent ascent with a needless copy of the iterate."""

    def step(self, oracle: Oracle, z: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Make the step from a copy."""
        return super().step(oracle, z.clone(), state)


def test_a_needless_copy_is_counted(watched: ModuleType) -> None:
    """One operation and the bytes of the iterate more, in each step and exactly."""
    cell = watched.cells.small("gda", "four_gaussians", 1)
    plain = watched.cells.count_step(cell)
    copying = watched.cells.count_step(replace(cell, algorithm=Copying()))
    dim = cell.task.build(Placement()).dim
    assert copying.operations == plain.operations + 1
    assert copying.written == plain.written + cell.task.width * dim * 4


def test_misfits_are_skipped(watched: ModuleType) -> None:
    """A method that needs a finite sum is not timed on another game; asv shows n/a."""
    game = watched.cells.Game("dirac_gan[loss=nonsaturating]", 1)
    with pytest.raises(NotImplementedError, match="finitely many"):
        watched.cells.fitting("svre", game, 1, {}, "float32")


class Failing(GDA):
    """Gradient descent ascent whose steps fail."""

    def step(self, oracle: Oracle, z: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Fail."""
        raise ValueError("no step")


def test_an_error_is_not_a_gain_in_speed(watched: ModuleType) -> None:
    """A cell that an exception ended fails its benchmark."""
    cell = replace(watched.cells.small("gda", "bilinear", 1), algorithm=Failing())
    with pytest.raises(RuntimeError, match="no step"):
        watched.cells.compute(cell)
    with pytest.raises(RuntimeError, match="no step"):
        watched.quality.compute_entry(cell)


@pytest.mark.parametrize(
    "algorithm", [*FEW, *slow(name for name in ALGORITHMS if name not in FEW)]
)
def test_tracks_are_finite_and_not_negative(
    watched: ModuleType, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two runs of few steps, whether the target is reached or not."""
    quality = watched.quality
    monkeypatch.setattr(quality, "RUNS", 2)
    monkeypatch.setattr(quality, "RUNS_OF_GAN", 2)
    for games in (quality.SOLVED, quality.GENERATING):
        for name, game in games.items():
            shorter = game._replace(steps=2, records=min(2, game.records))
            monkeypatch.setitem(games, name, shorter)
    for cls in (quality.Solved, quality.Generating):
        for task in cls.params[1]:
            benchmark = cls()
            try:
                benchmark.setup(algorithm, task)
            except NotImplementedError:  # a misfit
                continue
            for name in (one for one in dir(cls) if one.startswith("track_")):
                value = getattr(benchmark, name)(algorithm, task)
                assert math.isfinite(value), (task, name)
                assert value >= 0, (task, name)


def test_rates_agree_with_theory(watched: ModuleType) -> None:
    """The fitted rate of extragradient is the closed form, and not that of a half."""
    benchmark = watched.quality.Rates()
    benchmark.setup("extragradient")
    closed = watched.quality.CLOSED["extragradient"]
    found = watched.quality.compute_entry(benchmark.cell)
    assert watched.quality.rate_error(found, closed(0.3)) < 1e-5
    assert watched.quality.rate_error(found, closed(0.15)) > 1e-2


def test_what_has_no_closed_form_is_skipped(watched: ModuleType) -> None:
    """Its rate is not judged; asv shows n/a."""
    with pytest.raises(NotImplementedError, match="No closed form"):
        watched.quality.Rates().setup("acgd")


def test_a_miss_costs_more_than_any_hit(watched: ModuleType) -> None:
    """A run that spends its whole budget pays less than a run that misses."""
    quality = watched.quality
    benchmark = quality.Solved()
    benchmark.setup("unrolled", "bilinear")  # the dearest that reaches its target
    hit = quality.compute_entry(benchmark.cell)
    missed = hit._replace(
        success=np.zeros_like(hit.success),
        cost_to_target=np.full(len(hit.seeds), np.inf),
    )
    assert hit.success.all()
    assert quality.to_target(hit) <= hit.cost.max() < quality.to_target(missed)
    assert quality.failed(hit) < quality.failed(missed) == 1


def test_what_is_lost_is_finite(watched: ModuleType) -> None:
    """Runs that end nowhere get the worst numbers, not NaN or infinity."""
    quality = watched.quality
    benchmark = quality.Solved()
    benchmark.setup("gda", "quadratic")
    found = quality.compute_entry(benchmark.cell)
    lost = found._replace(scores=np.full(len(found.seeds), np.inf))
    assert quality.left(found, 1e-3) == 0
    assert quality.left(lost, 1e-3) == quality.FARTHEST
    assert quality.rate_error(lost, 1.0) == quality.FARTHEST
    assert quality.missed(lost, 4) == 4

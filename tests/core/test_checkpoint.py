"""Checkpoints: bytes and back, and a cell that goes on as if nothing had happened."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from images import fake_cifar10
from variants import ALGORITHM_VARIANTS

from mmbench.algorithms import ALGORITHMS
from mmbench.core.checkpoint import CheckpointSlot, like, pack, unpack
from mmbench.core.oracle_state import COUNTED
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics import METRICS
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS


class Killed(BaseException):
    """The process ends here; the engine must not catch it."""


class Memory(CheckpointSlot):
    """A slot that is asked between any two steps and dies at its n-th writing."""

    every = 0.0

    def __init__(self, dies_at: int = -1) -> None:
        self.content: bytes | None = None
        self.written, self.dies_at = 0, dies_at

    def read(self) -> bytes | None:
        """What was written last."""
        return self.content

    def write(self, content: bytes) -> None:
        """Keep it, then die if it is time."""
        self.content = content
        self.written += 1
        if self.written == self.dies_at:
            raise Killed


def cell(task: str, algorithm: str, steps: int = 12, seeds: int = 3) -> Cell:
    """A short cell in float32."""
    built = TASKS.build(task)
    return Cell(
        task=built,
        algorithm=ALGORITHMS.build(algorithm),
        seeds=tuple(range(seeds)),
        steps=steps,
        records=5,
        metrics=metrics_for(built, []),
        keep="all",
    )


def interrupted(one: Cell, deaths: Sequence[int]) -> Trajectory:
    """The cell, killed at these writings, one process after the other."""
    slot = Memory()
    for dies_at in deaths:
        slot.written, slot.dies_at = 0, dies_at
        with pytest.raises(Killed):
            run_cell(one, slot=slot)
    slot.dies_at = -1
    return run_cell(one, slot=slot)


def assert_same(one: Trajectory, other: Trajectory) -> None:
    """Bit for bit, but for the clock."""
    assert not one.reason
    assert (one.steps, one.status) == (other.steps, other.status)
    np.testing.assert_array_equal(one.stopped_at, other.stopped_at)
    for name in COUNTED:
        np.testing.assert_array_equal(one.counts[name], other.counts[name])
    for found, expected in (
        (one.columns, other.columns),
        (one.arrays, other.arrays),
        (one.iterates, other.iterates),
    ):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


GAME = "four_gaussians[hidden=4,noise=2,batch=8]"


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, *ALGORITHM_VARIANTS])
def test_an_interrupted_cell_goes_on_bit_for_bit(algorithm: str) -> None:
    """Whatever a method remembers survives, random streams and counts included."""
    one = cell(GAME, algorithm)
    assert_same(interrupted(one, [5, 4]), run_cell(one))


@pytest.mark.parametrize(
    ("task", "algorithm"),
    [
        ("bilinear", "gda"),  # paths
        ("quadratic", "gda[step_size=(0.3,0.9)]"),  # runs die
        ("bilinear", "accept_reject_search[patience=2,ascents=3]"),  # runs stop
        ("digits01[hidden=8,batch=16]", "alternating_gda[k=3]"),  # dropout
    ],
)
@pytest.mark.parametrize("deaths", [[1], [12], [3, 3, 3]])
def test_games_of_each_kind_go_on(task: str, algorithm: str, deaths: list[int]) -> None:
    """Paths, dead runs and dropout masks, at the first, the last and several places."""
    one = cell(task, algorithm)
    assert_same(interrupted(one, deaths), run_cell(one))


def test_what_a_game_remembers_survives(tmp_path, monkeypatch) -> None:
    """Singular vectors of a discriminator go on from where they were."""
    fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    one = Cell(
        task=TASKS.build("cifar10[channels=1,noise=4,batch=4,spectral=true]"),
        algorithm=ALGORITHMS.build("gda"),
        seeds=(0, 1),
        steps=6,
        records=2,
        keep="all",
    )
    assert_same(interrupted(one, [3, 2]), run_cell(one))


def test_finished_chunks_are_not_computed_again(monkeypatch) -> None:
    """Runs side by side that have ended stay as they are."""
    one = cell(GAME, "gda", seeds=40)  # three chunks of 16
    computed: list[int] = []
    compute = Chunk.compute

    def watched(self, progress, save):
        computed.append(self.seeds[0])
        compute(self, progress, save)

    monkeypatch.setattr(Chunk, "compute", watched)
    slot = Memory(dies_at=16)  # in the second chunk: each writes 13 times
    with pytest.raises(Killed):
        run_cell(one, slot=slot)
    slot.dies_at = -1
    resumed = run_cell(one, slot=slot)
    assert computed == [0, 16, 16, 32]
    assert_same(resumed, run_cell(one))


def test_other_circumstances_begin_anew(monkeypatch) -> None:
    """A checkpoint of another torch, width or device is not gone on from."""
    one, slot = cell(GAME, "gda"), Memory(dies_at=5)
    with pytest.raises(Killed):
        run_cell(one, slot=slot)
    monkeypatch.setattr("mmbench.engine.run_cell.torch.__version__", "1.0")
    slot.written, slot.dies_at = 0, 13
    with pytest.raises(Killed):  # as many writings as a whole cell makes, and no fewer
        run_cell(one, slot=slot)


@pytest.mark.parametrize("change", ["metrics", "keep"])
def test_what_is_recorded_must_be_the_same(change: str) -> None:
    """Another column, or other iterates kept, since the checkpoint: all or none."""
    one, slot = cell(GAME, "gda"), Memory(dies_at=5)
    with pytest.raises(Killed):
        run_cell(one, slot=slot)
    more = (*one.metrics, METRICS.build("field_norm"))
    changes = {"metrics": more, "keep": "none"}
    other = replace(one, **{change: changes[change]})
    assert other.key == one.key
    slot.dies_at = -1
    assert_same(run_cell(other, slot=slot), run_cell(other))


@pytest.mark.parametrize("at", [0, 31, 32, 40, 200, -1])
def test_damaged_bytes_are_not_read(at: int) -> None:
    """A flipped bit anywhere, or a missing end, is nothing to go on from."""
    packed = bytearray(pack({"a": torch.arange(9.0), "b": [1, "c", None]}))
    assert unpack(bytes(packed)) is not None
    packed[at] ^= 4
    assert unpack(bytes(packed)) is None
    assert unpack(bytes(packed[:20])) is None
    assert unpack(b"") is None


def test_nests_come_back() -> None:
    """Tensors as tensors, arrays as arrays, numbers of numpy as numbers."""
    nest = {
        "tensors": (torch.tensor([True, False]), torch.arange(3), torch.zeros(2, 0)),
        "arrays": [np.array([1.5, np.nan]), np.int64(7)],
        "rest": {"text": "é", "none": None, "nested": [[], {}]},
    }
    back = unpack(pack(nest))
    for one, other in zip(back["tensors"], nest["tensors"], strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
    np.testing.assert_array_equal(back["arrays"][0], nest["arrays"][0])
    assert back["arrays"][1] == 7
    assert back["rest"] == nest["rest"]


def test_tuples_are_restored_from_a_pattern() -> None:
    """Lists of tensors become the named tuples that they were."""
    algorithm = ALGORITHMS.build("gda[direction=adam]")
    state = algorithm.direction.init(torch.ones(2, 3))
    back = like(state, unpack(pack(state)))
    assert type(back) is type(state)
    assert torch.equal(back.first, state.first)

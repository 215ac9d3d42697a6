"""A checkpoint that is not of its cell counts as damaged, and the cell starts anew."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.checkpoint import pack, unpack
from mmbench.core.checkpoint_slot import CheckpointSlot
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.engine.saved_cell import unpack_cell
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS

WIDTH = 2  # runs side by side, so that three make two chunks


class Killed(BaseException):
    """The end of the process."""


class StartedAnewError(Exception):
    """A checkpoint was removed."""


class MemorySlot(CheckpointSlot):
    """A checkpoint in memory that ends the process at a given write, if at any."""

    def __init__(self, content: bytes | None = None, killed_at: int = 0) -> None:
        self.content, self.killed_at = content, killed_at
        self.interval_seconds = 0.0 if killed_at else float("inf")

    def read(self) -> bytes | None:
        """Return what was written last."""
        return self.content

    def write(self, content: bytes) -> None:
        """Keep the content, and raise at the given write."""
        self.content = content
        self.killed_at -= 1
        if not self.killed_at:
            raise Killed

    def remove(self) -> None:
        """Raise, since the cell starts anew."""
        raise StartedAnewError


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every cell be computed in chunks of two runs."""
    monkeypatch.setattr("mmbench.engine.run_cell.width_of", lambda *_: WIDTH)


def cell_of(task: str, algorithm: str) -> Cell:
    """Return a cell of three runs that keeps all iterates."""
    built = TASKS.build(task)
    return Cell(
        task=built,
        algorithm=ALGORITHMS.build(algorithm),
        seeds=(0, 1, 2),
        steps=12,
        records=5,
        metrics=metrics_for(built, []),
        keep="all",
    )


PLANE = cell_of("bilinear", "gda")
GAN = cell_of(
    "four_gaussians[hidden=4,noise=2,batch=8]", "accept_reject_search[ascents=1]"
)
MADE: dict[str, bytes] = {}


def checkpoint_of(cell: Cell) -> Any:
    """Return the nested values of a checkpoint in the second chunk, after step 7."""
    if cell.key not in MADE:
        slot = MemorySlot(killed_at=13 + 8)
        with pytest.raises(Killed):
            run_cell(cell, slot=slot)
        assert slot.content
        MADE[cell.key] = slot.content
    saved = unpack(MADE[cell.key])
    assert saved["chunk"]["step"] == 7
    return saved


def first(saved: Any) -> Any:
    """Return the recording of the chunk that has ended."""
    return saved["recordings"][0]


def second(saved: Any) -> Any:
    """Return the recording of the chunk at work."""
    return saved["recordings"][1]


def cut(saved: Any) -> None:
    """Remove the last record of a recording."""
    for name in ("steps", "seconds", "counts", "columns", "kept"):
        saved[name].pop()


def put(values: Any, *path: Any, to: Any) -> None:
    """Replace a value that lies deep."""
    *way, last = path
    for name in way:
        values = values[name]
    values[last] = to


CHANGES: dict[str, Callable[[Any], Any]] = {
    "nothing of what must be equal": lambda one: put(one, "circumstances", to=[]),
    "three of what must be equal": lambda one: put(
        one, "circumstances", to=one["circumstances"][:3]
    ),
    "a version that is a list": lambda one: put(one, "circumstances", 4, to=[]),
    "a digest that is a number": lambda one: one["circumstances"].append(7),
    "another width": lambda one: put(one, "circumstances", 0, to=3),
    "chunks in another order": lambda one: one["recordings"].reverse(),
    "no chunk": lambda one: put(one, "recordings", to=[]),
    "a chunk too many": lambda one: one["recordings"].append(deepcopy(second(one))),
    "the first chunk alone": lambda one: one["recordings"].pop(),
    "a first chunk that goes on": lambda one: put(first(one), "ended", to=False),
    "a second chunk that has ended": lambda one: put(second(one), "ended", to=True),
    "an end without its last record": lambda one: cut(first(one)),
    "an end by no reason": lambda one: put(first(one), "columns", to=[]),
    "a failure of runs that ended well": lambda one: (
        cut(first(one)),
        put(first(one), "reason", to="it broke"),
        put(first(one), "arrays", to={}),
    ),
    "a reason before the end": lambda one: put(second(one), "reason", to="it broke"),
    "the records of another step": lambda one: put(one, "chunk", "step", to=12),
    "a record ahead": lambda one: put(one, "chunk", "step", to=0),
    "a step beyond the last": lambda one: put(one, "chunk", "step", to=13),
    "a step below 0": lambda one: put(one, "chunk", "step", to=-1),
    "columns without values": lambda one: put(
        second(one), "columns", to=[{} for _ in second(one)["columns"]]
    ),
    "a column less": lambda one: second(one)["columns"][0].popitem(),
    "whole numbers as a metric": lambda one: put(
        second(one), "columns", 0, "distance", to=np.zeros(1, int)
    ),
    "no number for a run": lambda one: put(
        second(one), "columns", 0, "distance", to=np.zeros(0)
    ),
    "counts below 0": lambda one: put(
        second(one), "counts", 0, "grad_x", to=np.array([-7])
    ),
    "counts that fall": lambda one: put(
        second(one), "counts", 0, "grad_x", to=np.array([10**6])
    ),
    "counts that are no numbers": lambda one: put(
        second(one), "counts", -1, "grad_x", to=np.array([np.nan])
    ),
    "huge counts": lambda one: put(
        second(one), "counts", -1, "grad_x", to=np.array([1e300])
    ),
    "an end below 0": lambda one: put(second(one), "stopped_at", to=np.array([-5])),
    "ends between steps": lambda one: put(
        first(one), "stopped_at", to=np.array([1.5, 2])
    ),
    "an end after the last step": lambda one: put(
        second(one), "stopped_at", to=np.array([99])
    ),
    "a finished run that ended early": lambda one: put(
        second(one), "stopped_at", to=np.array([3])
    ),
    "a status too many": lambda one: second(one)["status"].append("finished"),
    "an error before the end": lambda one: put(second(one), "status", 0, to="error"),
    "seconds that are no numbers": lambda one: put(
        second(one), "seconds", -1, to=float("nan")
    ),
    "seconds below 0": lambda one: put(second(one), "seconds", 0, to=-1.0),
    "seconds that fall": lambda one: put(second(one), "seconds", 0, to=1e6),
    "endless seconds": lambda one: put(one, "chunk", "seconds", to=float("inf")),
    "fewer seconds than were recorded": lambda one: put(one, "chunk", "seconds", to=0),
    "iterates of another game": lambda one: put(
        second(one), "kept", 0, 1, to=np.zeros((1, 7), np.float32)
    ),
    "iterates of other steps": lambda one: put(second(one), "kept", 0, 0, to=5),
    "iterates of another type": lambda one: put(
        second(one), "kept", 0, 1, to=np.zeros((1, 2))
    ),
    "a path without points": lambda one: put(
        first(one), "arrays", "path", to=np.zeros((1, 0), np.float32)
    ),
    "a path of other steps": lambda one: put(
        first(one), "arrays", "path_steps", to=-np.arange(13)
    ),
    "no path": lambda one: put(first(one), "arrays", to={}),
    "an array that no game has": lambda one: put(
        first(one), "arrays", "x", to=np.zeros(1)
    ),
    "a path before the end": lambda one: put(
        second(one), "arrays", to=first(one)["arrays"]
    ),
    "an empty sheet": lambda one: put(one, "chunk", "sheet", to=np.zeros((1, 0, 2))),
    "a sheet of other runs": lambda one: put(
        one, "chunk", "sheet", to=np.zeros((2, 3, 2))
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_checkpoint_must_be_of_its_cell(what: str) -> None:
    """Its chunks, its records and how its runs end must fit each other."""
    saved = checkpoint_of(PLANE)
    assert unpack_cell(PLANE, pack(saved))
    CHANGES[what](saved)
    assert unpack_cell(PLANE, pack(saved)) is None


def test_what_chunks_show_must_be_alike() -> None:
    """Sheets of several chunks are joined."""
    saved = checkpoint_of(GAN)
    assert unpack_cell(GAN, pack(saved))
    first(saved)["arrays"]["sheet"] = np.zeros((2, 0, 2), np.float32)
    assert unpack_cell(GAN, pack(saved)) is None


def oracle(saved: Any) -> Any:
    """Return the state of the oracle."""
    return saved["chunk"]["oracle"]


IN_GAMES: dict[str, Callable[[Any], Any]] = {
    "iterates of another type": lambda one: put(
        one, "chunk", "z", to=one["chunk"]["z"].double()
    ),
    "iterates that are not finite": lambda one: put(
        one, "chunk", "z", to=one["chunk"]["z"] * float("nan")
    ),
    "a state of another form": lambda one: put(one, "chunk", "state", to=[1, 2]),
    "a state of another type": lambda one: put(
        one, "chunk", "state", 0, to=one["chunk"]["state"][0].double()
    ),
    "no oracle": lambda one: one["chunk"].pop("oracle"),
    "charges below 0": lambda one: put(
        oracle(one), "counts", "samples", to=-torch.ones(2, dtype=torch.int64)
    ),
    "charges below those recorded": lambda one: put(
        oracle(one), "counts", "grad_y", to=torch.ones(2, dtype=torch.int64)
    ),
    "charges that overflow": lambda one: put(
        oracle(one), "counts", "grad_x", to=torch.full((2,), 2**63 - 1)
    ),
    "charges that are no whole numbers": lambda one: put(
        oracle(one), "counts", "grad_x", to=torch.full((2,), 1e9)
    ),
    "a run that has ended and goes on": lambda one: put(
        oracle(one), "alive", to=torch.zeros(2, dtype=torch.bool)
    ),
    "a mask of numbers": lambda one: put(oracle(one), "alive", to=torch.ones(2)),
    "a memory": lambda one: put(oracle(one), "memory", to=[torch.zeros(2)]),
    "no minibatch drawn": lambda one: put(oracle(one), "data", to={}),
    "minibatches beyond the chunk": lambda one: put(
        oracle(one), "data", "taken", to=10**18
    ),
    "a position below 0": lambda one: put(oracle(one), "data", "taken", to=-3),
    "a generator too few": lambda one: oracle(one)["data"]["before"].pop(),
    "a generator of another size": lambda one: put(
        oracle(one), "data", "before", 0, to=torch.zeros(3, dtype=torch.uint8)
    ),
    "noise that nothing draws": lambda one: put(oracle(one), "noise", 0, 0, to="x"),
    "more noise than memory holds": lambda one: put(
        oracle(one), "noise", 0, 1, to=2**50
    ),
    "a path": lambda one: put(one, "chunk", "path", "steps", to=[0]),
    "points of no path": lambda one: put(
        one, "chunk", "path", "points", to=[torch.zeros(2, 2)]
    ),
    "no path": lambda one: one["chunk"].pop("path"),
}


def test_a_good_checkpoint_is_gone_on_from() -> None:
    """It is used as it is, so that the tests below tell what a change does."""
    trajectory = run_cell(GAN, slot=MemorySlot(pack(checkpoint_of(GAN))))
    assert not trajectory.reason
    assert trajectory.steps == GAN.schedule


@pytest.mark.parametrize("what", IN_GAMES)
def test_a_checkpoint_must_be_of_its_game(what: str) -> None:
    """State, charges, streams and memory have the forms of those at the start."""
    saved = checkpoint_of(GAN)
    IN_GAMES[what](saved)
    with pytest.raises(StartedAnewError):
        run_cell(GAN, slot=MemorySlot(pack(saved)))


@pytest.mark.parametrize("name", ["steps", "points"])
def test_a_path_goes_on_from_where_it_was(name: str) -> None:
    """A checkpoint with another path than its steps have is not used."""
    saved = checkpoint_of(PLANE)
    saved["chunk"]["path"][name].pop()
    with pytest.raises(StartedAnewError):
        run_cell(PLANE, slot=MemorySlot(pack(saved)))

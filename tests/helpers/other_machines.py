"""Cells as another machine would store them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from mmbench.core.placement import Placement
from mmbench.engine import run_cell
from mmbench.engine.cell import Cell
from mmbench.engine.rounding_noise import RoundingNoise
from mmbench.runner.compute import compute_and_store
from mmbench.runner.footer import describe_cell, describe_outcome
from mmbench.runner.provenance import provenance
from mmbench.runner.replay import compute
from mmbench.store.folder import Store

ANOTHER_MACHINE = {"processor": "another one"}


def put_as_of(
    store: Store, cell: Cell, trajectory: Any, **circumstances: str | int
) -> None:
    """Store a trajectory as computed here, but for some entries of its provenance."""
    here: dict[str, Any] = provenance("cpu") | circumstances
    footer = describe_cell(cell) | describe_outcome(trajectory)
    footer |= {"provenance": here, "environments": [], "limits": {}}
    tables = trajectory.frame(cell), footer, trajectory.arrays, trajectory.iterates
    store.put(cell.key, *tables)


class WeakNoise(RoundingNoise):
    """Errors of one rounding everywhere, as of another kernel."""

    def __init__(self, seed: int, roundings: int = 1) -> None:
        super().__init__(seed)
        self._roundings = roundings

    def disturb_point(self, z: torch.Tensor, roundings: int = 1) -> torch.Tensor:
        """Return numbers with relative errors."""
        return super().disturb_point(z, self._roundings)


def compute_with_other_roundings(store: Store, cell: Cell, seed: int) -> None:
    """Store a cell as a processor with other kernels would compute it."""
    noise = WeakNoise(seed)
    put_as_of(store, cell, compute(cell, Placement(), noise), **ANOTHER_MACHINE)


def compute_with_other_width(store: Store, cell: Cell, width: int) -> None:
    """Store a cell that was computed with another number of runs side by side."""
    before = run_cell.width_of
    run_cell.width_of = lambda *_: width
    try:
        other_code = {"commit": "0123456789ab"}
        put_as_of(store, cell, compute(cell, Placement()), **other_code)
    finally:
        run_cell.width_of = before


def compute_compiled(store: Store, cell: Cell) -> None:
    """Store a cell that was compiled."""
    compute_and_store(cell, store, Placement(compiled=True))


def run_elsewhere(folder: Path, *words: str, **environment: str) -> None:
    """Run `mmbench run` into a store with other environment variables."""
    command = [sys.executable, "-m", "mmbench", "run", *words, "--store", str(folder)]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | environment
    )

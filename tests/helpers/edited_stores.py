"""Stores with computed cells, and changes of what is stored in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

EXTERNAL_CLASS = '''
from dataclasses import dataclass
from mmbench import Algorithm, Cost

@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    """Mine."""
    limit: float = 1e9

    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        if float(z.abs().max()) > self.limit:
            raise ValueError("too far")
        return z - 0.3 * oracle.field(z), state
'''


def store_of(folder: Path, *grids: Grid) -> tuple[Store, tuple[Cell, ...]]:
    """Return a store in a folder with the computed cells of grids."""
    store = Store(folder / "store")
    cells = plan(Suite(name="test", grids=grids))
    execute(cells, store)
    return store, cells


def small_grid(task: str = "bilinear", algorithm: str = "gda", **options: Any) -> Grid:
    """Return a grid of one small cell."""
    options = {"seeds": 4, "steps": 20, "records": 4} | options
    return Grid(tasks=(task,), algorithms=(algorithm,), **options)


def rewrite(
    store: Store,
    key: str,
    frame: Callable[[pd.DataFrame], Any] = lambda _: None,
    footer: Callable[[dict[str, Any]], None] = lambda _: None,
    arrays: Callable[[dict[str, np.ndarray]], None] = lambda _: None,
    iterates: Callable[[dict[str, np.ndarray]], None] = lambda _: None,
) -> None:
    """Change a stored cell, and write it as mmbench does."""
    parts = [
        store.frame(key).copy(),
        store.footer(key),
        {name: value.copy() for name, value in store.arrays(key).items()},
        {name: value.copy() for name, value in store.iterates(key).items()},
    ]
    for at, change in enumerate((frame, footer, arrays, iterates)):
        changed = change(parts[at])  # in place, or another one
        parts[at] = parts[at] if changed is None else changed
    store.put(key, *parts)


def with_other_torch(footer: dict[str, Any]) -> None:
    """Change the version of torch in a footer."""
    footer["provenance"] |= {"torch": "2.0.0"}


def with_value(column: str, value: Any, row: int = 7) -> Callable[[pd.DataFrame], None]:
    """Return a function that changes one row of a table."""

    def change(frame: pd.DataFrame) -> None:
        if not isinstance(value, str):
            frame[column] = frame[column].astype(type(value))
        frame.loc[row, column] = value

    return change


def with_footer(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that changes values of a footer."""
    return lambda footer: footer.update(values)


def with_description(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that changes values of a footer's description."""
    return lambda footer: footer["description"].update(values)


def with_scaled(factor: float, since: int, column: str = "distance") -> Callable:
    """Return a function that scales a column from a step on."""

    def change(frame: pd.DataFrame) -> None:
        frame.loc[frame["step"] >= since, column] *= factor

    return change

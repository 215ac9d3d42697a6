"""Forgeries of a stored cell: what a hostile author may change and seal again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from edited_stores import rewrite, small_grid, store_of, with_footer
from other_machines import ANOTHER_MACHINE

from mmbench.core.errors import DamagedError
from mmbench.engine.cell import Cell
from mmbench.runner.replay import Verdict, replay
from mmbench.store.folder import Store

Change = dict[str, Callable[[Any], Any]]


def scaled(factor: float, column: str = "distance", at: str = "step > 0") -> Change:
    """Scale a column where a query of the table holds."""

    def change(frame: pd.DataFrame) -> None:
        rows = frame.query(at).index
        assert len(rows)
        frame[column] = frame[column].astype(float)
        frame.loc[rows, column] *= factor

    return {"frame": change}


def filled(value: Any, column: str, at: str = "step >= 0") -> Change:
    """Put a value in a column where a query of the table holds."""

    def change(frame: pd.DataFrame) -> None:
        rows = frame.query(at).index
        frame.loc[rows, column] = value

    return {"frame": change}


def ended(status: str, stopped_at: int, reason: str = "") -> Change:
    """Let all runs end otherwise, in the table and in the footer."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(status=status, stopped_at=stopped_at, reason=reason)

    def outcomes(footer: dict[str, Any]) -> None:
        footer |= {"outcomes": {status: footer["runs"]}, "reason": reason}

    return {"frame": change, "footer": outcomes}


def permuted(order: Callable[[pd.DataFrame], pd.Series], columns: tuple) -> Change:
    """Take numbers of other rows, which a function of the table gives."""

    def change(frame: pd.DataFrame) -> None:
        values = frame.loc[order(frame), list(columns)].to_numpy()
        frame[list(columns)] = values

    return {"frame": change}


def _other_run(frame: pd.DataFrame) -> pd.Series:
    records = len(frame) // frame["seed"].nunique()
    return pd.Series(np.roll(frame.index, records))


def _next_record(frame: pd.DataFrame) -> pd.Series:
    last = frame["step"] == frame["step"].max()
    return pd.Series(np.where(last, frame.index, frame.index + 1))


def nested(*path: Any, value: Any) -> Change:
    """Put a value in a footer."""

    def change(footer: dict[str, Any]) -> None:
        for name in path[:-1]:
            footer = footer[name]
        footer[path[-1]] = value

    return {"footer": change}


def array(name: str, at: Any, factor: float, kind: str = "arrays") -> Change:
    """Scale entries of an array."""

    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name][at] *= factor

    return {kind: change}


def _without_path(arrays: dict[str, np.ndarray]) -> None:
    del arrays["path"]


def _other_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    frame["seed"] = frame["seed"].max() - frame["seed"]
    return frame.sort_values(["seed", "step"], ignore_index=True)


def _after_itself(footer: dict[str, Any]) -> None:
    footer["description"]["after"] = dict(footer["description"])


METRICS = ("distance", "loss_x", "loss_y")

# Of a contracting game, on which rounding never grows, with its kept iterates.
FORGERIES: dict[str, Change] = {
    "distance x 0.01": scaled(0.01),
    "distance x 1.01": scaled(1.01),
    "distance x 1.001": scaled(1.001),
    "distance x 0.9992": scaled(0.9992),
    "distance x 1.0004": scaled(1.0004),
    "distance x 1.00003": scaled(1.00003),
    "first record x 1.0004": scaled(1.0004, at="step == 0"),
    "middle record x 1.0004": scaled(1.0004, at="step == 20"),
    "last record x 1.0004": scaled(1.0004, at="step == 40"),
    "one run x 0.9992": scaled(0.9992, at="seed == 1"),
    "all records": scaled(0.9992, at="step >= 0"),
    "loss_x x 1.0004": scaled(1.0004, "loss_x"),
    "loss_y x 1.0004": scaled(1.0004, "loss_y"),
    "losses with the other sign": scaled(-1, "loss_x"),
    "distance zero": scaled(0.0, at="step == 40"),
    "distance NaN": filled(np.nan, "distance", "step == 10"),
    "distance infinite": filled(np.inf, "distance", "step == 10"),
    "runs swapped": permuted(_other_run, METRICS),
    "records one earlier": permuted(_next_record, METRICS),
    "grad_x 1": filled(1, "grad_x", "step > 0"),
    "grad_y one less": filled(79, "grad_y", "step == 40"),
    "hvps": filled(3, "hvps", "step == 40"),
    "values": filled(1, "values", "step > 0"),
    "samples": filled(1, "samples", "step > 0"),
    "converged": ended("converged", 1),
    "converged at the end": ended("converged", 40),
    "diverged": ended("diverged", 10),
    "nonfinite": ended("nonfinite", 1),
    "stopped": ended("stopped", 15),
    "error": ended("error", 40, "ValueError: no"),
    "finished later": ended("finished", 39),
    "a reason": filled("lost", "reason"),
    "a reason of the footer": {"footer": with_footer(reason="ValueError: no")},
    "a backend": {"footer": with_footer(backend="quantum")},
    "diverged at the end": ended("diverged", 40),
    "cost": nested("method", "cost", value="nothing"),
    "summary": nested("method", "summary", value="The best method."),
    "the game's summary": nested("game", "summary", value="A hard game."),
    "target": {"footer": with_footer(target="distance ≤ 10")},
    "direction of a column": nested("columns", 0, "better", value="higher"),
    "title of a column": nested("columns", 0, "title", value="better"),
    "columns": nested("columns", value=[]),
    "protocols": nested("protocols", value={"distance": {"images": 3}}),
    "scores of real data": nested("ideal", value={"distance": 0.1}),
    "label": {"footer": with_footer(label="mine")},
    "label of the table": filled("mine", "label"),
    "algorithm of the table": filled("CGD", "algorithm"),
    "algorithm": {"footer": with_footer(algorithm="cgd")},
    "steps": {"footer": with_footer(steps=400)},
    "seeds": {"footer": with_footer(seeds=[4, 7])},
    "metrics": nested("metrics", value={}),
    "kept": nested("kept", value="none"),
    "outcomes": {"footer": with_footer(outcomes={"converged": 2})},
    "description": nested("description", "steps", value=80),
    "after": {"footer": _after_itself},
    "seeds swapped": {"frame": _other_seeds},
    "a run dropped": {"frame": lambda frame: frame[frame["seed"] != 1]},
    "the end dropped": {"frame": lambda frame: frame[frame["step"] < 40]},
    "a record dropped": {"frame": lambda frame: frame[frame["step"] != 10]},
    "a column dropped": {"frame": lambda frame: frame.drop(columns="loss_x")},
    "iterates": array("z", np.s_[1:], 1.0004, "iterates"),
    "last iterates of one run": array("z", np.s_[-1, 1], 1.0004, "iterates"),
    "steps of iterates": array("steps", np.s_[1:], 2, "iterates"),
    "path": array("path", np.s_[:, 5:], 1.0004),
    "one point of a path": array("path", np.s_[1, 7], 1.0004),
    "no path": {"arrays": _without_path},
    "text for numbers": {"frame": lambda frame: frame.assign(distance="0.5")},
}

# One of each mechanism that finds them.
QUICK = (
    *("distance x 0.01", "distance x 1.00003", "middle record x 1.0004"),
    *("losses with the other sign", "runs swapped", "grad_y one less"),
    *("converged", "diverged at the end", "stopped", "a reason of the footer"),
    *("cost", "a record dropped", "iterates", "path", "a backend"),
)


def contracting_store(folder: Path) -> tuple[Store, Cell]:
    """Return a store with one cell of a game in which runs contract."""
    grid = small_grid(
        *("quadratic", "extragradient"),
        metrics=("distance", "losses"),
        keep="all",
        steps=40,
        seeds=2,
    )
    store, (cell,) = store_of(folder, grid)
    return store, cell


def on_another_machine(change: Callable[[dict], Any] = lambda _: None) -> Callable:
    """Return a change of a footer that also claims another processor."""

    def changed(footer: dict[str, Any]) -> None:
        change(footer)
        footer["provenance"] |= ANOTHER_MACHINE

    return changed


def verdict_on(what: str, store: Store, cell: Cell) -> str:
    """Return the verdict on a forgery that claims another processor, or "damaged"."""
    changes = dict(FORGERIES[what])
    changes["footer"] = on_another_machine(changes.get("footer", lambda _: None))
    rewrite(store, cell.key, **changes)
    try:
        return replay(store, store.require(cell.key)).verdict
    except DamagedError:  # no table or footer of a cell at all
        return "damaged"


REFUTED = {str(Verdict.DIFFERS), "damaged"}

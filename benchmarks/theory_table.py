"""Tabulate what theory predicts of every method on games, and what runs do.

    python benchmarks/theory_table.py --out reports/theory

Writes `theory.parquet`, one row for each method, game and pair of step sizes, and
`theory.md`. On linear games the prediction is a spectral radius from
`mmbench.testing.theory`, which shares no code with the methods; the measured one is
that of the matrix of the steps a method makes. Near its solution DiracGAN is the linear
game (0, 1/2, 0). The outcome of runs from drawn starts is measured on all games.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.testing.theory import PREDICTIONS, Planar, radii_of
from mmbench.testing.tools import PLACEMENT

RUNS, STEPS, RECORDS = 32, 2000, 20
BASES = {name: f"{name}[base=gda]" for name in ("averaged", "halpern", "lookahead")}
BASES["scheduled"] = "scheduled[base=gda]"
BILINEAR_PAIR = (0.3, 0.3)
# Spec of the task and step sizes of the games that are not linear.
OTHERS = {
    "DiracGAN": ("dirac_gan", (0.3, 0.3)),
    "Forsaken": ("forsaken", (0.05, 0.05)),
    "Polar": ("polar", (0.01, 0.01)),
}
DIRAC = (0.0, 0.5, 0.0)  # second derivatives at the solution
NEAR, LOCAL_STEPS = 1e-6, 1000
SKIPPED = ("alone", "one_sided_cgd")  # one player stays where it is
COLUMNS = (
    "bilinear (0.3, 0.3)",
    "ICR (0.09, 0.01)",
    "ICR (0.03, 0.03)",
    "ICR (0.01, 0.09)",
    "g1 (0.05, 0.04)",
    "g2 (0.05, 0.04)",
    "DiracGAN (0.3, 0.3)",
    "Forsaken (0.05, 0.05)",
    "Polar (0.01, 0.01)",
)


def main() -> None:
    """Measure all and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name in ALGORITHMS:
        method: Any = ALGORITHMS.build(BASES.get(name, name))
        has_steps = hasattr(method, "step_size") or hasattr(method, "base")
        if has_steps and name not in SKIPPED:
            rows += rows_of(name, method)
    table = pd.DataFrame(rows)
    table.to_parquet(folder / "theory.parquet", index=False)
    (folder / "theory.md").write_text(as_markdown(table), encoding="utf-8")


def rows_of(name: str, method: Any) -> Iterator[dict[str, Any]]:
    """Return the rows of a method, one for each game and pair of step sizes."""
    prediction = PREDICTIONS.get(name)
    origin = {
        "method": name,
        "source": prediction.source if prediction else "",
        "measured_are": prediction.words if prediction else "",
    }
    for one in radii_of(method):
        if one.game.title != "bilinear" or one.pair == BILINEAR_PAIR:
            rates = {"predicted": one.predicted, "measured": one.measured}
            yield origin | row_of(
                method, one.game.title, one.game.task, one.pair, rates
            )
    for title, (task, pair) in OTHERS.items():
        rates = {}
        if title == "DiracGAN" and prediction and prediction.is_of_one_step:
            sized = method.with_step_sizes(*pair)
            if found := prediction.multipliers(sized, Planar(*DIRAC, *pair)):
                rates["predicted"] = max(map(abs, found))
                rates["measured"] = local_rate(sized, task)
        if needs_of(method) <= TASKS.build(task).gives:
            yield origin | row_of(method, title, task, pair, rates)


def row_of(
    method: Algorithm,
    title: str,
    task: str,
    pair: tuple[float, float],
    rates: dict[str, float],
) -> dict[str, Any]:
    """Return the rates, and how runs from drawn starts end."""
    frame = mmbench.run(
        [task],
        [method.with_step_sizes(*pair)],
        ["distance"],
        seeds=RUNS,
        steps=STEPS,
        records=RECORDS,
        dtype="float64",
    )
    last = frame.groupby("seed").tail(1)
    return {
        "game": f"{title} ({pair[0]:g}, {pair[1]:g})",
        "predicted": rates.get("predicted", math.nan),
        "measured": rates.get("measured", math.nan),
        "runs": RUNS,
        "near": int((last["distance"] <= 1e-3).sum()),
        "diverged": int(last["status"].isin(["diverged", "nonfinite"]).sum()),
        "median_distance": float(last["distance"].median()),
    }


def local_rate(method: Algorithm, task: str) -> float:
    """Return by which factor the distance from (0, 0) changes in a step near it."""
    game = TASKS.build(task).build(PLACEMENT)
    generator = torch.Generator().manual_seed(0)
    z = NEAR * torch.randn(RUNS, 2, generator=generator, dtype=PLACEMENT.dtype)
    oracle = Oracle(OracleState(game, tuple(range(RUNS))))
    state = method.init(oracle, z)
    norms = []
    for _ in range(LOCAL_STEPS):
        z, state = method.step(oracle, z, state)
        norms.append(float(z.norm()))
    half = LOCAL_STEPS // 2
    return (norms[-1] / norms[half - 1]) ** (1 / half)


def as_markdown(table: pd.DataFrame) -> str:
    """Return the table of all methods and games, and what it says."""

    def text(row: pd.Series) -> str:
        ends = f"{row['near']} of {row['runs']}"
        if row["diverged"]:
            ends += f", {row['diverged']} diverge"
        if math.isnan(row["predicted"]):
            return ends
        return f"{row['predicted']:.6g} / {row['measured']:.6g}; {ends}"

    cells = table.assign(text=table.apply(text, axis=1))
    wide = cells.pivot_table(
        index="method", columns="game", values="text", aggfunc="first", sort=False
    )
    wide = wide.reindex(columns=[name for name in COLUMNS if name in wide]).fillna("–")
    sources = table.drop_duplicates("method").set_index("method")
    lines = [
        "| method | " + " | ".join(wide.columns) + " | prediction from |",
        "|" + "---|" * (len(wide.columns) + 2),
    ]
    for name, row in wide.iterrows():
        where = sources.loc[name]
        source = ", ".join(filter(None, (where["source"], where["measured_are"])))
        lines.append(f"| {name} | " + " | ".join(row) + f" | {source or 'none'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

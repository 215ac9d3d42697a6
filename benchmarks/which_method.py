"""Tune the step sizes of every method on every game, and write the suite to compare.

    python benchmarks/which_method.py --out reports/games/suite.toml
    mmbench run reports/games/suite.toml --store STORE
    python benchmarks/which_method.py --out reports/games/suite.toml --publish STORE

The last line writes, beside the suite, the end of each run (`runs.parquet`, with the
provenance of each cell as metadata), both figures and the table that they show.

Every method has the same budget: the same pairs of step sizes are tried on the same
starts, which the comparison does not use, and each run may spend as many
gradient-equivalents as those of the other methods. The pair with the least distance
from the solution is kept: the median over starts, at the end of the budget. All other
parameters are the defaults, or those of `METHODS`.
"""

import argparse
import json
import math
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from icr_projection import collect

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import needs_of
from mmbench.analysis.plot.games import games_table, games_with_target
from mmbench.analysis.results import results_of
from mmbench.core.placement import Placement
from mmbench.engine.step_size_map import step_map
from mmbench.store.folder import Store
from mmbench.tasks import TASKS

# Of all runs, in gradient-equivalents; a step of GDA costs 2.
BUDGET = 2000
SEEDS, FIRST_TUNING_SEED, TUNING_SEEDS = 100, 10_000, 3
STEP_SIZES = np.geomspace(0.003, 3, 10)
# Distances below this fraction of that of the start count as equal.
CLOSE = 1e-4
# Columns that are the same in all rows, or that say how fast this machine is.
UNPUBLISHED = ("algorithm", "cell_seconds", "reason", "worst", "rate", "gap")

GAMES = {
    "bilinear": "bilinear",
    "ill-conditioned bilinear": "bilinear[dim=10,smallest=0.1]",
    "random quadratic": "random_quadratic",
    "ICR quadratic": "quadratic",
    "g3": "g3",
    "escaping saddles": "escaping_saddles",
    "Forsaken": "forsaken",
    "global Forsaken": "global_forsaken",
    "DiracGAN": "dirac_gan",
    "DiracGAN, non-saturating": "dirac_gan[loss=nonsaturating]",
    "DiracGAN with R1": "dirac_gan[r1=1]",
    "Polar": "polar",
    "rock-paper-scissors": "matrix_game[matrix=rock_paper_scissors]",
}

METHODS = {
    "GDA": "gda",
    "alternating GDA": "alternating_gda",
    "negative momentum": "alternating_gda[direction=momentum[beta=-0.5]]",
    "OMD": "omd",
    "extragradient": "extragradient",
    "EG+": "extragradient[ratio=0.5]",
    "reflected gradient": "reflected_gradient",
    "EAG": "eag",
    "FEG": "feg",
    "Halpern": "halpern",
    "proximal point": "proximal_point",
    "Runge-Kutta": "runge_kutta",
    "lookahead": "lookahead[base=gda]",
    "unrolled": "unrolled[k=5]",
    "accept-reject": "accept_reject[k=5]",
    "CGD": "cgd",
    "LOLA": "lola",
    "SGA": "sga",
    "consensus": "consensus",
    "Hamiltonian descent": "hamiltonian",
    "discretisation drift": "discretisation_drift",
    "follow-the-ridge": "follow_the_ridge",
    "Stackelberg": "stackelberg",
    "LSS": "lss",
    "smoothed GDA": "smoothed_gda",
    "mirror descent": "mirror_descent",
    "mirror-prox": "mirror_prox",
}


def main() -> None:
    """Tune all methods on all games and write a suite."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tuned", type=Path, help="file of what is tuned already")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--publish", type=Path, help="store of the suite's runs")
    given = parser.parse_args()
    if given.publish:
        publish(given.publish, given.out.parent)
        return
    memory = given.tuned or given.out.with_suffix(".json")
    memory.parent.mkdir(parents=True, exist_ok=True)
    tuned = json.loads(memory.read_text()) if memory.exists() else {}
    pairs = [
        (label, words, game)
        for game in GAMES.values()
        for label, words in METHODS.items()
        if needs_of(ALGORITHMS.build(words)) <= TASKS.build(game).gives
    ]
    with ProcessPoolExecutor(
        given.workers, get_context("spawn"), torch.set_num_threads, (1,)
    ) as pool:
        trials = {
            pool.submit(tune, words, game): f"{words} on {game}"
            for _, words, game in pairs
            if f"{words} on {game}" not in tuned
        }
        for trial in as_completed(trials):
            tuned[trials[trial]] = trial.result()
            memory.write_text(json.dumps(tuned, indent=1, ensure_ascii=False))
    grids = [
        grid(label, words, game, tuned[f"{words} on {game}"][0])
        for label, words, game in pairs
    ]
    head = 'name = "games"\ntitle = "Which method for which game"\n'
    given.out.write_text("\n".join([head, *grids]), encoding="utf-8")


def publish(store: Path, folder: Path) -> None:
    """Write the ends of all runs, and what is shown of them."""
    runs = collect(Store(store))
    kept = [name for name in runs.column_names if name not in UNPUBLISHED]
    pq.write_table(runs.select(kept), folder / "runs.parquet", compression="zstd")
    results = results_of(store).finished
    games_table(results, games_with_target(results)).to_csv(
        folder / "games.csv", index=False
    )
    for what in ("success", "cost"):
        axes = mmbench.plot.games(store, what)
        axes.figure.savefig(folder / f"{what}.svg", metadata={"Date": None})


def steps_of(words: str, game: str) -> int:
    """Return the number of steps that the budget pays."""
    zero_sum = TASKS.build(game).build(Placement()).zero_sum
    cost = ALGORITHMS.build(words).cost.within(zero_sum=zero_sum)
    # In the plane an inner solver needs one or two iterations.
    iteration = (
        2 * cost.hvps_per_iteration
        + cost.grads_x_per_iteration
        + cost.grads_y_per_iteration
        + cost.values_per_iteration / 2
    )
    return max(1, int(BUDGET / (cost.gradient_equivalents + iteration)))


def tune(words: str, game: str) -> tuple[tuple[float, float], float]:
    """Return the best pair of step sizes, and the relative distance that it reaches."""
    maps = [
        step_map(
            game,
            words,
            STEP_SIZES,
            STEP_SIZES,
            steps=steps_of(words, game),
            seed=FIRST_TUNING_SEED + number,
            placement=Placement(),  # which takes less time than compiling
        )
        for number in range(TUNING_SEEDS)
    ]
    distances = np.stack([one["distance"].to_numpy(float) for one in maps])
    distances = np.nan_to_num(distances, nan=math.inf).clip(CLOSE)
    median, mean = np.median(distances, 0), np.log(distances).mean(0)
    # Among equal pairs, that with equal step sizes of moderate length.
    pairs = maps[0][["step_size_x", "step_size_y"]].to_numpy()
    logs = np.log(pairs)
    odd = np.abs(logs[:, 0] - logs[:, 1]) + np.abs(logs.mean(1) - math.log(0.1)) / 10
    best = np.lexsort((odd, mean, median))[0]
    x, y = (float(f"{size:.3g}") for size in pairs[best])
    return (x, y), float(median[best])


def grid(label: str, words: str, game: str, pair: tuple[float, float]) -> str:
    """Return a grid of the suite: one method on one game."""
    sized = ALGORITHMS.build(words).with_step_sizes(*pair)
    return (
        "[[grid]]\n"
        f'tasks = ["{game}"]\n'
        f'algorithms = ["{label} = {sized}"]\n'
        f"seeds = {SEEDS}\nsteps = {steps_of(words, game)}\n"
    )


if __name__ == "__main__":
    main()

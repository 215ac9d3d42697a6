"""Golden trajectories: numbers that move must raise a version.

Each algorithm has a CSV of short runs, with the versions they were computed by. After a
change that is meant to move numbers, raise the `version` of the class (or
`plan.ENGINE_VERSION`) and run `pytest tests/golden --regenerate`, which refuses to
overwrite numbers that differ under an unchanged version.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import needs_of
from mmbench.core.capability import Capability
from mmbench.core.columns import COUNTED
from mmbench.engine.cell import ENGINE_VERSION, Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, IterateEntries

HERE = Path(__file__).parent
SEEDS = (0, 3)
STEPS = 20
# A game in several dimensions, and one with minibatches and networks.
GAMES = (
    "bilinear[dim=2,smallest=0.5,largest=1.5]",
    "four_gaussians[hidden=4,noise=2,batch=8]",
)
FINITE_SUM = ("finite_sum_bilinear[terms=4,batch=2]",)  # for methods that need one
MIXED = ("matrix_game[matrix=random,size=3]", "kuhn_poker")  # for entropic steps
# The default of each, and the options that have code of their own.
VARIANTS = {
    "gda": ("gda", "gda[step_size=(0.01,0.02),direction=(adam,rmsprop)]"),
    "alternating_gda": (
        "alternating_gda",
        "alternating_gda[first=y,k=2]",
        "alternating_gda[first=both,k=2,direction=adam[epsilon_at=raw],step_size=0.01]",
    ),
    "omd": ("omd", "omd[first=zero,direction=adam,step_size=0.01]"),
    "extragradient": (
        "extragradient",
        "extragradient[minibatch=fresh,direction=adam,step_size=0.01]",
    ),
    "past_extragradient": ("past_extragradient",),
    "unrolled": ("unrolled", "unrolled[k=2,direction=adam,step_size=0.01]"),
    "cgd": ("cgd", "cgd[solve=y,step_size=(0.3,0.2)]"),
    "acgd": ("acgd[step_size=0.05]",),
    "accept_reject": (
        "accept_reject[k=2]",
        "accept_reject[k=2,reference=reestimate,acceptance=annealed,direction=adam,"
        "step_size=0.01]",
        "accept_reject[k=2,rule=notebook,acceptance=every[r=4],direction=adam,"
        "step_size=0.01]",
    ),
    "accept_reject_search": ("accept_reject_search[ascents=20]",),
    "alone": ("alone", "alone[player=x,direction=adam,step_size=0.01]"),
    "consensus": ("consensus", "consensus[gamma=0.5,direction=rmsprop,step_size=0.01]"),
    "hamiltonian": ("hamiltonian", "hamiltonian[minibatch=fresh,step_size=0.01]"),
    "gradient_regularised": ("gradient_regularised",),
    "discretisation_drift": (
        "discretisation_drift[own=(-1,0.5)]",
        "discretisation_drift[first=x]",
    ),
    "lss": ("lss[damping=0.1,step_size=0.05,solution_step_size=0.1]",),
    "stackelberg": ("stackelberg[damping=0.1,iterations=3]",),
    "sga": ("sga", "sga[is_aligned=false,weight=0.3]"),
    "lola": ("lola", "lola[shaping=own,alpha=(0.2,0.1)]", "lola[shaping=both]"),
    "follow_the_ridge": ("follow_the_ridge[damping=0.1,iterations=3]",),
    "runge_kutta": (
        "runge_kutta",
        "runge_kutta[order=2,penalty=0.07,minibatch=fresh]",
    ),
    "svre": ("svre[snapshot=0.3,restart=0.5]",),
    "reflected_gradient": ("reflected_gradient",),
    "proximal_point": (
        "proximal_point[iterations=3]",
        "proximal_point[solver=fixed_point,iterations=9]",
    ),
    "smoothed_gda": ("smoothed_gda", "smoothed_gda[penalty=(1,2)]"),
    "curvature_eg": ("curvature_eg[power=3]",),
    "bcseg": ("bcseg[ratio=0.5]",),
    "eag": ("eag", "eag[lipschitz_step=0.618,minibatch=fresh]"),
    "feg": ("feg", "feg[comonotonicity=-0.2,direction=adam,step_size=0.01]"),
    "halpern": ("halpern", "halpern[base=extragradient[minibatch=fresh]]"),
    "mirror_descent": ("mirror_descent", "mirror_descent[optimism=1]"),
    "mirror_prox": ("mirror_prox[result=ahead]",),
    "lookahead": ("lookahead", "lookahead[base=extragradient,slow_from=first_return]"),
    "averaged": ("averaged", "averaged[weights=linear]"),
    "scheduled": ("scheduled", "scheduled[schedule=cosine[steps=16]]"),
    "one_sided_cgd": (
        "one_sided_cgd[step_size=(0.3,0.2)]",
        "one_sided_cgd[player=x]",
    ),
}
# Bilinear draws in double precision; the networks' weights and data are drawn in single
# precision, whose last bit depends on the processor's vector instructions.
RELATIVE = {
    "bilinear": 1e-9,
    "finite_sum_bilinear": 1e-9,
    "matrix_game": 1e-9,
    "kuhn_poker": 1e-9,
    "four_gaussians": 1e-6,
}
ABSOLUTE = 1e-12


def computed(words: str, game: str) -> pd.DataFrame:
    """Iterates and counts of a short cell."""
    task = TASKS.build(game)
    cell = Cell(
        task=task,
        algorithm=ALGORITHMS.build(words),
        seeds=SEEDS,
        steps=STEPS,
        records=4,
        dtype="float64",
        metrics=metrics_for(task, [IterateEntries()]),
    )
    trajectory = run_cell(cell, PLACEMENT)
    assert trajectory.reason == ""
    frame = trajectory.frame(cell)
    frame = frame.assign(task=game, algorithm=words)
    entries = [column.name for column in IterateEntries().columns]
    return frame[["task", "algorithm", "seed", "step", *COUNTED, "status", *entries]]


def games_of(name: str) -> tuple[str, ...]:
    """Return the games that an algorithm is run on."""
    needs = needs_of(ALGORITHMS.build(name))
    if Capability.SIMPLEX in needs:
        return MIXED
    return FINITE_SUM if Capability.FINITE_SUM in needs else GAMES


def table(name: str) -> pd.DataFrame:
    """All short cells of an algorithm."""
    frames = [
        computed(words, game) for words in VARIANTS[name] for game in games_of(name)
    ]
    return pd.concat(frames, ignore_index=True)


def versions(name: str) -> dict[str, Any]:
    """Versions of all that may move the numbers."""
    tasks = {
        game.partition("[")[0]: TASKS.build(game).version for game in games_of(name)
    }
    return {"engine": ENGINE_VERSION, name: ALGORITHMS[name].version, **tasks}


def stored(name: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Versions and numbers of a golden file."""
    head, _, body = (HERE / f"{name}.csv").read_text("utf-8").partition("\n")
    return json.loads(head.removeprefix("# ")), pd.read_csv(io.StringIO(body))


def written(name: str, frame: pd.DataFrame) -> None:
    """Write a golden file; floats in full, so that they read back exactly."""
    body = frame.to_csv(index=False, float_format="%.17g", lineterminator="\n")
    head = f"# {json.dumps(versions(name))}\n"
    (HERE / f"{name}.csv").write_text(head + body, "utf-8")


def moved(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """Where two tables differ; empty where they do not."""
    if list(one.columns) != list(other.columns) or len(one) != len(other):
        return "they have other rows or columns"
    for name in one:
        ours, theirs = one[name].to_numpy(), other[name].to_numpy()
        if not name.startswith(("entry", "norm", "blend")):
            if not (ours == theirs).all():
                return f"{name} differs"
            continue
        for game, relative in RELATIVE.items():
            rows = one.task.str.startswith(game).to_numpy()
            # Entries are judged by the length of their iterate.
            allowed = ABSOLUTE + relative * np.abs(one.norm.to_numpy()[rows])
            off = np.abs(ours[rows] - theirs[rows]) / allowed
            if not (off <= 1).all():
                worst = int(np.nanargmax(np.where(np.isnan(off), np.inf, off)))
                row = one[rows].iloc[worst]
                return (
                    f"{name} differs by {off[worst] * relative:.1e} at step {row.step} "
                    f"of {row.algorithm} on {row.task}"
                )
    return ""


@pytest.mark.parametrize("name", ALGORITHMS)
def test_trajectories_are_as_stored(name: str, regenerate: bool) -> None:
    """Numbers move only with a version."""
    frame, path = table(name), HERE / f"{name}.csv"
    if not path.exists():
        assert regenerate, f"{path.name} is missing; run with --regenerate"
        written(name, frame)
        return
    by, golden = stored(name)
    difference = moved(golden, frame)
    if by == versions(name):
        assert not difference, (
            f"{name} moved its numbers under unchanged versions {by}: {difference}. "
            "Raise the version of what has changed, then run with --regenerate"
        )
    elif regenerate:
        written(name, frame)
    else:
        pytest.fail(
            f"versions are {versions(name)}, stored {by}; run with --regenerate"
        )


def test_every_algorithm_is_golden() -> None:
    """A new algorithm needs a row above and a file beside."""
    assert set(VARIANTS) == set(ALGORITHMS)
    files = {path.stem for path in HERE.glob("*.csv")}
    assert files == set(ALGORITHMS)


def test_a_small_change_is_seen() -> None:
    """Every entry or count that changes is reported by the comparison."""
    golden = stored("gda")[1]
    assert moved(golden, golden.copy()) == ""
    for name, by in (("entry_1", 1e-8), ("blend", 1e-8), ("grad_x", 1), ("step", 1)):
        changed = golden.copy()
        changed.loc[3, name] += by
        assert name in moved(golden, changed)
    changed = golden.copy()
    changed.loc[5, "entry_0"] = np.nan
    assert "entry_0" in moved(golden, changed)
    assert moved(golden, golden.iloc[1:])

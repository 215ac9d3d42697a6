"""Rows of games with a known answer."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch

from benchmarks.compare import loops
from benchmarks.compare.cells import COMPILED, EAGER, Whole, bare_steps, cell_of
from benchmarks.compare.functional import FunctionalOracle
from benchmarks.compare.measuring import (
    Options,
    Row,
    Times,
    alternate,
    cpu_seconds,
    format_time,
    median,
    medians,
    peers_of,
    ratios,
)
from mmbench.engine.step_size_map import step_map

RECORDS = 40
GAMES = {
    "bilinear": ("bilinear", loops.bilinear),
    "ICR quadratic": ("quadratic", loops.quadratic),
    "DiracGAN": ("dirac_gan", loops.dirac),
}
RULES = {
    "GDA": ("gda", loops.gda),
    "EG": ("extragradient", loops.extragradient),
}
WIDE = "bilinear[dim=100,smallest=0.1]"

DISPATCH = (
    "starting torch operations: a step of 128 runs costs hardly more than one of one"
)
# Of profiles of the cells on the machine of the report.
FIXED = (
    "what is done once a cell and once a record in Python and by operations of torch: "
    "0.7 ms for 46 records of 512 runs, see speed_gains.md; the steps themselves take "
    "0.24 ns a run-step, less than JAX with its records"
)
PRODUCTS = (
    "the products with A and its transpose: three quarters of a cell's time, at 20,000 "
    "multiplications a run-step and 250 GFLOP/s, nearly all that the processor can; "
    "loops entry by entry take one eighth, starts and records another"
)


def looped(loop: Callable, payoff: loops.Payoff, dim: int, steps: int):
    """Return an arm: two seeds of a plain loop, in CPU seconds for each step."""

    def seeds() -> None:
        for _ in range(2):
            loop(payoff, dim, steps, RECORDS)

    return lambda: cpu_seconds(seeds) / 2 / steps


def toy_cell(task: str, algorithm: str, runs: int, steps: int):
    """Return the cell that does what the loops do: the distance recorded 40 times."""
    return cell_of(
        task,
        f"{algorithm}[step_size={loops.STEP}]",
        runs=runs,
        steps=steps,
        records=RECORDS,
        metrics=("distance",),
    )


def eager(options: Options) -> Iterator[Row]:
    """Measure scalar games, 128 runs, eager."""
    steps = options.size(1000, 80)
    for game, (task, payoff) in GAMES.items():
        for rule, (algorithm, loop) in RULES.items():
            arms = {
                "loop": looped(loop, payoff, 1, steps),
                "cell": Whole(toy_cell(task, algorithm, 128, steps), EAGER),
            }
            if (game, rule) == ("bilinear", "GDA"):
                by_optimizers = loops.gda_by_optimizers
                arms["torch.optim"] = looped(by_optimizers, payoff, 1, steps)
            times = alternate(arms, options.rounds)
            notes = medians(times, "a run-step")
            what = f"{game}, {rule}, 128 runs, eager"
            values = ratios(times["loop"], times["cell"])
            yield Row(what, values, floor=80, aim=120, notes=notes, limit=DISPATCH)
            if "torch.optim" in arms:
                values = ratios(times["torch.optim"], times["cell"])
                yield Row(f"{what}, against a loop with torch.optim", values)


def compiled(options: Options) -> Iterator[Row]:
    """Measure scalar games, 512 runs, compiled."""
    steps = options.size(10_000, 80)
    for game, (task, payoff) in GAMES.items():
        for rule, (algorithm, loop) in RULES.items():
            with peers_of(options) as peers:
                planned = toy_cell(task, algorithm, 512, steps)
                words = (task, algorithm, 1, 512, steps, len(planned.schedule))
                peers.add("JAX", "jax_cells.py", "toy", *words)
                cell = Whole(planned, COMPILED)
                loops_of_it = looped(loop, payoff, 1, options.size(1000, 80))
                arms = {
                    "loop": loops_of_it,
                    "cell": cell,
                    **_each_of(peers, 512 * steps),
                }
                what = f"{game}, {rule}, 512 runs, compiled"
                times = alternate(arms, options.rounds)
                values = ratios(times["loop"], times["cell"])
                notes = medians(times, "a run-step")
                row = Row(
                    what, values, floor=2000, aim=20_000, notes=notes, limit=FIXED
                )
                yield cell.row(row)
                yield against_jax(f"{what}, {steps:,} steps", times, peers, 1, 2)


def short(options: Options) -> Iterator[Row]:
    """Measure scalar games of 1000 steps against JAX, starts and records on both."""
    steps = options.size(1000, 80)
    for game, (task, _) in GAMES.items():
        for rule, (algorithm, _) in RULES.items():
            with peers_of(options) as peers:
                planned = toy_cell(task, algorithm, 512, steps)
                words = (task, algorithm, 1, 512, steps, len(planned.schedule))
                peers.add("JAX", "jax_cells.py", "toy", *words)
                cell = Whole(planned, COMPILED)
                arms = {"cell": cell, **_each_of(peers, 512 * steps)}
                times = alternate(arms, options.rounds)
                what = f"{game}, {rule}, 512 runs, compiled, {steps:,} steps"
                row = against_jax(what, times, peers, 1, 2)
                yield row._replace(notes=row.notes or medians(times, "a run-step"))


def _each_of(peers, run_steps: int) -> dict[str, Callable[[], float]]:
    """Return the arms of peers, in seconds of a run-step."""
    return {name: partial(each, peer, run_steps) for name, peer in peers.arms.items()}


def each(peer: Callable[[], float], run_steps: int) -> float:
    """Return the seconds of a run-step of a peer's round."""
    return peer() / run_steps


def against_jax(
    what: str,
    times: Times,
    peers,
    floor: float,
    aim: float | None = None,
    limit: str = FIXED,
) -> Row:
    """Return the row that compares a cell with JAX."""
    values = ratios(times["JAX"], times["cell"]) if "JAX" in times else ()
    what = f"{what}, against JAX jit(vmap(scan))"
    return peers.row("JAX", Row(what, values, floor=floor, aim=aim, limit=limit))


def spectrum(options: Options) -> Iterator[Row]:
    """Measure bilinear, d = 100, eager at 128 runs and compiled at 512."""
    steps = options.size(1000, 80)
    a = torch.randn(100, 100) / 10
    with peers_of(options) as peers:
        planned = toy_cell(WIDE, "gda", 512, steps)
        words = ("bilinear", "gda", 100, 512, steps, len(planned.schedule))
        peers.add("JAX", "jax_cells.py", "toy", *words)
        fast = Whole(planned, COMPILED)
        arms = {
            "loop": looped(loops.gda, loops.through(a), 100, steps),
            "eager": Whole(toy_cell(WIDE, "gda", 128, steps), EAGER),
            "cell": fast,
            **_each_of(peers, 512 * steps),
        }
        times = alternate(arms, options.rounds)
        notes = medians(times, "a run-step")
        what = "bilinear d=100, GDA"
        values = ratios(times["loop"], times["eager"])
        yield Row(
            f"{what}, 128 runs, eager",
            values,
            floor=30,
            aim=60,
            notes=notes,
            limit=PRODUCTS,
        )
        what = f"{what}, 512 runs, compiled"
        values = ratios(times["loop"], times["cell"])
        row = Row(what, values, floor=60, aim=150, notes=notes, limit=PRODUCTS)
        yield fast.row(row)
        yield against_jax(what, times, peers, 1, 1.2, PRODUCTS)


def maps(options: Options) -> Iterator[Row]:
    """Measure a map of step sizes on the ICR game, compiled."""
    side, steps = options.size(1000, 20), options.size(1000, 100)
    sizes = torch.logspace(-3, 0, side).tolist()
    given = "quadratic[start_at=(1,1)]", "gda", sizes, sizes
    diverged = 0

    def mapped() -> None:
        nonlocal diverged
        frame = step_map(*given, steps=steps, placement=COMPILED)
        diverged = int((frame["status"] == "diverged").sum())

    with peers_of(options) as peers:
        peers.add("JAX", "jax_cells.py", "map", side, steps)
        arms = {"map": lambda: cpu_seconds(mapped), **peers.arms}
        times = alternate(arms, options.rounds)
        what = f"step-size map, {side} x {side} pairs, ICR game, GDA, {steps:,} steps"
        each = side * side * steps
        time = format_time(median(times["map"]) / each)
        notes = f"{time} a run-step, {diverged:,} diverged"
        if "JAX" in peers.arms:
            ready = peers.arms["JAX"].ready
            notes += (
                f"; JAX {format_time(median(times['JAX']) / each)}, compiled in "
                f"{format_time(max(0.0, ready['first'] - median(times['JAX'])))}, "
                f"{ready['diverged']:,} diverged"
            )
        limit = "the arithmetic of each run-step, one core"
        yield Row(what, times["map"], "s", 60, 10, False, notes, limit)
        values = ratios(times["map"], times["JAX"]) if "JAX" in times else ()
        what = f"{what}, over JAX's time"
        row = Row(what, values, "x", 1.2, 1.2, False, limit=limit)
        yield peers.row("JAX", row)


def vmapped(options: Options) -> Iterator[Row]:
    """Measure the step with the gradients of torch.func; it has no required value."""
    steps = options.size(200, 4)
    cell = toy_cell("bilinear", "gda", 128, steps)
    arms = {
        "oracle": bare_steps(cell, 128, steps),
        "vmap": bare_steps(cell, 128, steps, FunctionalOracle),
    }
    times = alternate(arms, options.rounds)
    values = ratios(times["vmap"], times["oracle"])
    what = "bilinear, a GDA step of 128 runs, against torch.func.vmap"
    yield Row(what, values, notes=medians(times, "a run-step"))


# ---- growth ----


def growth(options: Options) -> Iterator[Row]:
    """Measure the exponents of time in runs and in steps."""
    shape = "all runs of a chunk move at once, whole chunks one after the other"
    sizes = (32, 128, 512, 2048)
    steps = options.size(1000, 40)
    arms = {n: _seconds(toy_cell("bilinear", "gda", n, steps)) for n in sizes}
    yield _exponent("time in runs, 32 to 2048", arms, options, shape)
    lengths = options.size(500, 20), options.size(8000, 80)
    middle = math.isqrt(lengths[0] * lengths[1])
    sizes = (lengths[0], middle, lengths[1])
    arms = {n: _seconds(toy_cell("bilinear", "gda", 128, n)) for n in sizes}
    what = f"time in steps, {sizes[0]:,} to {sizes[-1]:,}"
    yield _exponent(what, arms, options, "one step after the other")


def _seconds(cell) -> Callable[[], float]:
    whole = Whole(cell, EAGER)
    return lambda: whole() * len(cell.seeds) * cell.steps


def _exponent(what: str, arms: dict, options: Options, limit: str) -> Row:
    """Return the slope of a straight line through logarithms, for each round."""
    times = alternate({str(n): arm for n, arm in arms.items()}, options.rounds)
    logs = torch.tensor([math.log(n) for n in arms], dtype=torch.float64)
    logs = logs - logs.mean()
    rows = torch.tensor(list(times.values()), dtype=torch.float64).log()
    values = ((logs[:, None] * rows).sum(0) / (logs * logs).sum()).tolist()
    notes = "; ".join(f"{n}: {format_time(median(one))}" for n, one in times.items())
    return Row(
        f"exponent of {what}, bilinear GDA, eager",
        values,
        "",
        1.05,
        1.05,
        False,
        notes,
        limit,
    )

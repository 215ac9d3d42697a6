"""Rows of the GAN on four Gaussians."""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.compare import loops
from benchmarks.compare.cells import COMPILED, EAGER, Whole, bare_steps, cell_of
from benchmarks.compare.functional import FunctionalOracle
from benchmarks.compare.measuring import (
    Arm,
    Options,
    Row,
    Times,
    alternate,
    cpu_seconds,
    median,
    medians,
    peers_of,
    ratios,
)
from benchmarks.compare.toys import against_jax, each
from mmbench.engine.cell import Cell

RUNS = 128
JAX_RUNS = 16  # side by side, the best of those tried
NOISE = {64: 2, 128: 16}
RULES = {
    "GDA": "gda[step_size=0.001]",
    "Adam": "gda[direction=adam,step_size=0.001]",
    "CGD": "cgd[iterations=3]",
}
NEAR_FLOOR = (
    "matrix products: the loop is only {gap:.1f}x above theirs alone; the rest "
    "is passing over memory for rectifiers, biases and their gradients"
)

REVERSE = (
    "second-order reverse passes: seven tenths of an eager step, whose matrix products "
    "are as few as the gradients and mixed products need"
)
# Of profiles of the cells on the machine of the report.
OF_PEERS = (
    "steps in C seven tenths of a cell's time, products the larger part of them; "
    "records an eighth, draws and starts a tenth, the rest Python"
)


def task(hidden: int, loss: str = "nonsaturating") -> str:
    """Return the spec of the game."""
    words = f"hidden={hidden},noise={NOISE[hidden]},batch={loops.BATCH},loss={loss}"
    return f"four_gaussians[{words}]"


def gan_cell(hidden: int, rule: str, runs: int, steps: int):
    """Return the cell that does what the loop does: count modes at the records."""
    loss = "saturating" if rule == "CGD" else "nonsaturating"
    words = task(hidden, loss), RULES[rule]
    return cell_of(
        *words, runs=runs, steps=steps, records=1, metrics=("mode_coverage",)
    )


def recorded_of(cell: Cell) -> str:
    """Return the steps of a cell's records, as peers are given them."""
    return ",".join(map(str, cell.schedule))


def looped(rule: str, hidden: int, steps: int, recorded: tuple[int, ...]) -> Arm:
    """Return an arm: one seed of the plain loop, start and records included."""

    def seed() -> None:
        loops.Gaussians(rule.lower(), hidden, NOISE[hidden]).train(steps, recorded)

    return lambda: cpu_seconds(seed) / steps


def narrow(options: Options) -> Iterator[Row]:
    """Measure GDA with hidden layers of 64."""
    yield from _against_peers("GDA", 64, options, 256, ((2, 3), (3, 4)), (1, 1.1))


def narrow_adam(options: Options) -> Iterator[Row]:
    """Measure Adam with hidden layers of 64."""
    yield from _against_peers("Adam", 64, options, 256, ((2, 3), (3, 4.7)), (1, None))


def narrow_cgd(options: Options) -> Iterator[Row]:
    """Measure CGD with hidden layers of 64 and three inner iterations."""
    yield from _against_peers("CGD", 64, options, 64, (None, (3, 4)), (1, None))


def wide(options: Options) -> Iterator[Row]:
    """Measure GDA with hidden layers of 128."""
    targets = (1.3, 1.6), (1.3, 2.2)
    yield from _against_peers("GDA", 128, options, 96, targets, (1, None))


def _against_peers(
    rule: str,
    hidden: int,
    options: Options,
    steps: int,
    targets: tuple[tuple | None, tuple],
    of_jax: tuple,
) -> Iterator[Row]:
    """Measure a rule against the plain loop, against JAX and what is built on it.

    Args:
        rule: one of `RULES`.
        hidden: width of the hidden layers.
        options: of the command line.
        steps: of each run.
        targets: floor and aim of the eager and of the compiled cell against the loop.
        of_jax: floor and aim of the compiled cell against JAX.
    """
    steps = options.size(steps, 4)
    recorded = recorded_of(gan_cell(hidden, rule, 1, steps))
    sizes = hidden, NOISE[hidden], JAX_RUNS, recorded, loops.SAMPLES
    with peers_of(options) as peers:
        peers.add("JAX", "jax_cells.py", "gaussians", rule.lower(), *sizes)
        if rule == "Adam":
            peers.add("optax", "jax_cells.py", "gaussians", "optax", *sizes)
            of_one = hidden, NOISE[hidden], steps, recorded
            peers.add("TorchOpt", "torchopt_steps.py", *of_one)
        extra = {
            name: partial(each, peer, 1 if name == "TorchOpt" else JAX_RUNS * steps)
            for name, peer in peers.arms.items()
        }
        cells, times = _measured(rule, hidden, steps, options, extra)
        yield from _against_loop(rule, hidden, cells, times, *targets)
        if (rule, hidden) == ("GDA", 64):
            yield from _against_floor(hidden, times)
        what = f"four Gaussians h={hidden}, {rule}, compiled"
        yield against_jax(what, times, peers, *of_jax, limit=OF_PEERS)
        for name in ("optax", "TorchOpt") if rule == "Adam" else ():
            values = ratios(times[name], times["cell"]) if name in times else ()
            row = Row(f"{what}, against {name}", values, floor=1, limit=OF_PEERS)
            yield peers.row(name, row)


def _measured(
    rule: str, hidden: int, steps: int, options: Options, extra: dict | None = None
) -> tuple[dict[str, Whole], Times]:
    """Measure the loop, the cells and the matrix products, alternating."""
    runs = options.size(RUNS, 16)
    cell = gan_cell(hidden, rule, runs, steps)
    cells = {"eager": Whole(cell, EAGER), "cell": Whole(cell, COMPILED)}
    arms = {
        "loop": looped(rule, hidden, steps, cell.schedule),
        **cells,
        **(extra or {}),
    }
    if rule != "CGD":
        share = len(cell.schedule) / steps
        arms["products"] = products(hidden, NOISE[hidden], cell.task.width, share)[0]
    return cells, alternate(arms, options.rounds)


def _against_loop(
    rule: str,
    hidden: int,
    cells: dict[str, Whole],
    times: Times,
    eager: tuple | None,
    compiled: tuple,
) -> Iterator[Row]:
    what = f"four Gaussians h={hidden}, {rule}, {RUNS} runs"
    notes = medians(times, "a run-step")
    limit = "matrix products"
    if "products" in times:
        gap = median(ratios(times["loop"], times["products"]))
        limit = NEAR_FLOOR.format(gap=gap)
    floor, aim = eager or (None, None)
    values = ratios(times["loop"], times["eager"])
    row = Row(f"{what}, eager", values, floor=floor, aim=aim, notes=notes, limit=limit)
    yield row
    floor, aim = compiled
    values = ratios(times["loop"], times["cell"])
    row = row._replace(what=f"{what}, compiled", values=values, floor=floor, aim=aim)
    yield cells["cell"].row(row)


def _against_floor(hidden: int, times: Times) -> Iterator[Row]:
    """Measure the share of the matrix products in a step."""
    what = f"four Gaussians h={hidden}, GDA: matrix products alone, of the whole"
    limit = "passing over memory between the products; starts, draws and records"
    for arm, notes, aim in (("eager", "eager", None), ("cell", "compiled", 65)):
        values = [100 * one for one in ratios(times["products"], times[arm])]
        yield Row(f"{what}, {notes}", values, "%", 35, aim, limit=limit)


def products(hidden: int, noise: int, width: int, records: float) -> tuple[Arm, float]:
    """Return an arm of the matrix products of a step alone, and their MFLOP.

    Forward, gradients of weights and gradients of inputs of the non-saturating step,
    and the samples of so many records a step, on tensors that are there already.
    """
    batch, samples = loops.BATCH, loops.SAMPLES
    g = [(noise, hidden), (hidden, hidden), (hidden, 2)]
    d = [(2, hidden), (hidden, hidden), (hidden, 1)]
    shapes = []
    for layers, passes, weights, inputs in (
        (g, 1, 1, 0),  # the generator; its noise needs no gradient
        (d, 2, 2, 0),  # the discriminator on real and fake, for itself
        (d, 0, 0, 1),  # and back through it to the generator, first layer included
    ):
        for i, (m, n) in enumerate(layers):
            back = weights if i else 0  # hidden layers pass the gradient on
            shapes += [(batch, m, n)] * passes + [(m, batch, n)] * weights
            shapes += [(batch, n, m)] * (back + inputs)

    def product(shape: tuple[int, int, int]):
        m, k, n = shape
        made = torch.randn(width, m, k), torch.randn(width, k, n)
        out = torch.empty(width, m, n)
        return lambda: torch.bmm(*made, out=out)

    of_step = [product(one) for one in shapes]
    of_record = [product((samples, m, n)) for m, n in g]

    def seconds(several: list) -> float:
        def repeated() -> None:
            for _ in range(20):
                for one in several:
                    one()

        return cpu_seconds(repeated) / 20 / width

    flop = sum(2 * m * k * n for m, k, n in shapes)
    return lambda: seconds(of_step) + records * seconds(of_record), flop / 1e6


# ---- second order against other packages; vmap ----


# Words; the most inner iterations that a step here asks for; the name that packages
# give it; floors and aims against CGDs.
SECOND_ORDER = {
    "ACGD": ("acgd", 4, "ACGD", ((1.2, 1.5), (1.2, 1.5), (1.5, 2), (1.5, 2))),
    "CGD": ("cgd", 3, "BCGD", ((None, None),) * 4),
}
# jax-cgd knows neither minibatches nor batches of runs, so that its functions of a step
# are called in loops of JAX. The method BCGD.step does nothing in 1.0.4, the function
# does.
JAX_CGD = {
    "1 run, compiled": ("jax-cgd in jit(scan)", 1),
    "32 runs, compiled": ("jax-cgd in jit(vmap(scan))", JAX_RUNS),
}


def second_order(options: Options) -> Iterator[Row]:
    """Measure steps of ACGD and CGD, at 1 and 32 runs, against CGDs and jax-cgd."""
    steps = options.size(64, 2)
    of = task(64, "saturating")
    for name, (words, most, theirs, targets) in SECOND_ORDER.items():
        few = f"{words}[iterations={most}]"
        arms: dict[str, Arm] = {}
        for runs, width in ((1, 1), (32, None)):
            for kind, given in (("eager", words), ("compiled", few)):
                counted = ("mode_coverage",)  # as the other packages' arms do
                cell = cell_of(
                    of, given, runs=runs, steps=steps, records=1, metrics=counted
                )
                place = EAGER if kind == "eager" else COMPILED
                arms[f"{runs} run{'s'[: runs - 1]}, {kind}"] = Whole(cell, place, width)
        with peers_of(options) as peers:
            recorded = recorded_of(cell)
            peers.add("CGDs", "cgds_steps.py", theirs, 64, NOISE[64], steps, recorded)
            for peer, runs in JAX_CGD.values():
                sizes = 64, NOISE[64], runs, recorded, loops.SAMPLES, most
                peers.add(
                    peer, "jax_cells.py", "gaussians", f"jax-cgd {theirs}", *sizes
                )
            run_steps = {peer: runs * steps for peer, runs in JAX_CGD.values()}
            of_peers = {
                peer: partial(each, arm, run_steps.get(peer, 1))
                for peer, arm in peers.arms.items()
            }
            times = alternate(arms | of_peers, options.rounds)
        notes = medians(times, "a step of a run")
        if "CGDs" in peers.arms:
            notes += (
                f"; CGDs {peers.arms['CGDs'].last['iterations']:.1f} inner iterations"
            )
        notes += f"; compiled arms and jax-cgd make at most {most}"
        rows = [
            (arm, "CGDs", floor, aim)
            for arm, (floor, aim) in zip(arms, targets, strict=True)
        ]
        rows += [(arm, peer, 1, None) for arm, (peer, _) in JAX_CGD.items()]
        for arm, peer, floor, aim in rows:
            what = f"four Gaussians h=64, {name} step, {arm}, against {peer}"
            values = ratios(times[peer], times[arm]) if peer in times else ()
            row = Row(what, values, floor=floor, aim=aim, notes=notes, limit=REVERSE)
            row = arms[arm].row(row) if "compiled" in arm else row
            yield peers.row(peer, row)


def vmapped(options: Options) -> Iterator[Row]:
    """Measure steps with the gradients of torch.func; they have no required value."""
    steps = options.size(20, 2)
    for rule in ("GDA", "CGD"):
        cell = gan_cell(64, rule, 16, steps)
        arms = {
            "oracle": bare_steps(cell, 16, steps),
            "vmap": bare_steps(cell, 16, steps, FunctionalOracle),
        }
        times = alternate(arms, options.rounds)
        values = ratios(times["vmap"], times["oracle"])
        what = f"four Gaussians h=64, a {rule} step of 16 runs, against torch.func.vmap"
        yield Row(what, values, notes=medians(times, "a run-step"))

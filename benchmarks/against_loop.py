"""How much faster a batched cell is than the loop a researcher would write.

    python benchmarks/against_loop.py

Prints ratios measured in one run: both arms take turns, on one thread, in CPU seconds
of that thread, and the median over rounds of each round's ratio counts. Nothing else
should run meanwhile.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from mmbench.core.oracle import Oracle
from mmbench.core.place import Place
from mmbench.core.streams import generator
from mmbench.engine import run_cell
from mmbench.plan import plan
from mmbench.suites.base import Grid, Suite

RUNS = 128
GAUSSIANS = "four_gaussians[hidden=64,noise=2,batch=128,loss=nonsaturating]"


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this thread that the work takes."""
    before = time.thread_time()
    work()
    return time.thread_time() - before


def paired(plain: Callable[[], float], batched: Callable[[], float], rounds: int):
    """Medians of both arms and of the ratio of each round."""
    pairs = [(plain(), batched()) for _ in range(rounds)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


# ---- bilinear xy, GDA ----


def plain_bilinear(steps: int) -> None:
    """One seed of GDA on xy, distance noted as mmbench does, in plain PyTorch."""
    x = torch.randn(1, requires_grad=True)
    y = torch.randn(1, requires_grad=True)
    distances = []
    for step in range(steps):
        if step % 25 == 0:
            distances.append(math.hypot(x.item(), y.item()))
        at_x, at_y = torch.autograd.grad((x * y).sum(), (x, y))
        with torch.no_grad():
            x -= 0.1 * at_x
            y += 0.1 * at_y


def optimizer_bilinear(steps: int) -> None:
    """The same with torch's optimizers, as most scripts are written."""
    x = torch.randn(1, requires_grad=True)
    y = torch.randn(1, requires_grad=True)
    for_x = torch.optim.SGD([x], lr=0.1)
    for_y = torch.optim.SGD([y], lr=0.1, maximize=True)
    distances = []
    for step in range(steps):
        if step % 25 == 0:
            distances.append(math.hypot(x.item(), y.item()))
        for_x.zero_grad()
        for_y.zero_grad()
        (x * y).sum().backward()
        for_x.step()
        for_y.step()


def bilinear(
    loop: Callable[[int], None], rounds: int, steps: int = 1000, loops: int = 2
) -> tuple:
    """Seconds of the loop per run, and of a whole cell, records included, per run."""
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), seeds=RUNS, steps=steps)
    (cell,) = plan(Suite(name="speed", grids=(grid,)))
    run_cell(cell)

    def plain() -> float:
        return cpu_seconds(lambda: [loop(steps) for _ in range(loops)]) / loops

    return paired(plain, lambda: cpu_seconds(lambda: run_cell(cell)) / RUNS, rounds)


# ---- four Gaussians, GDA ----


def mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plain_gaussians(steps: int) -> None:
    """One seed of simultaneous GDA on the mixture, in plain PyTorch."""
    g, d = mlp(2, 64, 64, 2), mlp(2, 64, 64, 1)
    bce = nn.BCEWithLogitsLoss()
    modes = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
    one, zero = torch.ones(128, 1), torch.zeros(128, 1)
    for_g = torch.optim.SGD(g.parameters(), lr=0.1)
    for_d = torch.optim.SGD(d.parameters(), lr=0.1)
    for _ in range(steps):
        real = modes[torch.randint(4, (128,))] + 0.01 * torch.randn(128, 2)
        fake = g(torch.randn(128, 2))
        loss_d = bce(d(real), one) + bce(d(fake.detach()), zero)
        loss_g = bce(d(fake), one)
        for_d.zero_grad()
        loss_d.backward()
        grads_d = [p.grad.clone() for p in d.parameters()]
        for_g.zero_grad()
        loss_g.backward()
        for p, grad in zip(d.parameters(), grads_d, strict=True):
            p.grad = grad
        for_g.step()
        for_d.step()


def batched_gaussians(steps: int) -> float:
    """CPU seconds of a step of one run, 128 runs in chunks of the task's width."""
    grid = Grid(
        tasks=(GAUSSIANS,), algorithms=("gda",), seeds=RUNS, steps=steps, records=1
    )
    (cell,) = plan(Suite(name="speed", grids=(grid,)))
    width, total = cell.task.width, 0.0
    for first in range(0, RUNS, width):
        seeds = tuple(range(first, first + width))
        game = cell.task.build(Place())
        oracle = Oracle(game, seeds)
        z = torch.stack([cell.task.start(game, generator(s, "start")) for s in seeds])
        state = cell.algorithm.init(oracle, z)

        def loop(oracle=oracle, z=z, state=state) -> None:
            for _ in range(steps):
                oracle.resample()
                z, state = cell.algorithm.step(oracle, z, state)

        total += cpu_seconds(loop)
    return total / RUNS / steps


def gaussians(rounds: int, steps: int = 32) -> tuple:
    """Seconds of a step of one run: the loop, and the batch."""
    plain_gaussians(4)
    return paired(
        lambda: cpu_seconds(lambda: plain_gaussians(steps)) / steps,
        lambda: batched_gaussians(steps),
        rounds,
    )


def product_floor(width: int, rounds: int) -> tuple[float, float]:
    """CPU seconds and MFLOP of a step's matrix products alone, per run.

    Forward, gradients of weights and gradients of inputs of the non-saturating step, on
    tensors that are there already.
    """
    batch = 128
    g, d = [(2, 64), (64, 64), (64, 2)], [(2, 64), (64, 64), (64, 1)]
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
    operands = [
        (torch.randn(width, m, k), torch.randn(width, k, n), torch.empty(width, m, n))
        for m, k, n in shapes
    ]

    def products() -> None:
        for a, b, out in operands:
            torch.bmm(a, b, out=out)

    products()
    times = [cpu_seconds(products) for _ in range(5 * rounds)]
    flop = sum(2 * m * k * n for m, k, n in shapes)
    return statistics.median(times) / width, flop / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for name, loop in (
        ("autograd.grad, steps by hand", plain_bilinear),
        ("torch.optim.SGD", optimizer_bilinear),
    ):
        plain, batched, ratio = bilinear(loop, rounds)
        print(f"bilinear, GDA, 1000 steps, {RUNS} runs, against a loop with {name}:")
        print(f"  loop {plain * 1e3:.1f} ms a run, cell {batched * 1e3:.3f} ms a run: ")
        print(f"  {ratio:.0f}x")
    plain, batched, ratio = gaussians(rounds)
    floor, mflop = product_floor(16, rounds)
    print(f"four Gaussians (h=64), GDA step, {RUNS} runs: loop {plain * 1e6:.0f} us,")
    print(
        f"  batched {batched * 1e6:.0f} us a run: {ratio:.2f}x; matrix products alone "
    )
    print(f"  {floor * 1e6:.0f} us ({mflop:.1f} MFLOP): {floor / batched:.0%} reached")


if __name__ == "__main__":
    main()

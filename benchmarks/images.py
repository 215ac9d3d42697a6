"""Compare a step on CIFAR10 with the plainest PyTorch loop of the same networks.

    python benchmarks/images.py [--device cuda] [--runs 1 8] [--steps 20] [--rounds 5]

For each setting of the suite `icr_cifar10`: seconds a step and images a second of both
arms, their ratio (medians of pairs in one run), peak memory on a GPU, and the work of a
step in floating-point operations, counted by torch. From these, the hours that a GPU of
a given speed would need for the suite. The plain loop is torch.nn and torch.optim for
Adam, and for ACGD the update rule written with autograd. Nothing else should run
meanwhile.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.flop_counter import FlopCounterMode

from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.engine.cell import Cell
from mmbench.runner.plan import plan
from mmbench.suites import SUITES

BATCH = 64
ITERATIONS = 469_000  # of the paper
Step = Callable[[], None]


def players(spectral: bool, device: torch.device) -> tuple[nn.Module, nn.Module]:
    """Return generator and discriminator of the setting, in torch.nn."""
    g = nn.Sequential(
        *(nn.Linear(128, 4096), nn.BatchNorm1d(4096), nn.ReLU()),
        nn.Unflatten(1, (256, 4, 4)),
        *(nn.ConvTranspose2d(256, 128, 4, 2, 1), nn.BatchNorm2d(128), nn.ReLU()),
        *(nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh()),
    )
    wrap = spectral_norm if spectral else lambda layer: layer
    d = nn.Sequential(
        *(wrap(nn.Conv2d(3, 64, 4, 2, 1)), nn.LeakyReLU(0.01)),
        *(wrap(nn.Conv2d(64, 128, 4, 2, 1)), nn.LeakyReLU(0.01)),
        *(wrap(nn.Conv2d(128, 256, 4, 2, 1)), nn.LeakyReLU(0.01)),
        *(nn.Flatten(), wrap(nn.Linear(4096, 1))),
    )
    for layer in [*g, *d]:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not spectral:
            nn.init.normal_(layer.weight, 0, 0.01)
    return g.to(device), d.to(device)


class PlainLoop:
    """One run of a setting as a researcher would write it."""

    def __init__(self, cell: Cell, device: torch.device) -> None:
        self.task, self.device = cell.task, device
        self.g, self.d = players(cell.task.spectral, device)
        self.critics = getattr(cell.algorithm, "k", 1)
        self.pixels = torch.randint(256, (50_000, 3, 32, 32), dtype=torch.uint8)
        self.pixels = self.pixels.to(device)
        self.second, self.adaptive = None, "acgd" in str(cell.algorithm)
        rate = {"lr": 1e-4, "betas": (0.5, 0.999)}
        self.of_g = torch.optim.Adam(self.g.parameters(), **rate)
        self.of_d = torch.optim.Adam(self.d.parameters(), **rate)
        self.step: Step = self.acgd if self.adaptive else self.adam

    def noise(self) -> Tensor:
        """Draw inputs of the generator."""
        return torch.randn(BATCH, 128, device=self.device)

    def payoff(self) -> Tensor:
        """Return f on a fresh minibatch."""
        chosen = torch.randint(50_000, (BATCH,), device=self.device)
        real = self.pixels[chosen].float() / 127.5 - 1
        fake = self.g(self.noise())
        on_real, on_fake = self.d(real), self.d(fake)
        if self.task.loss == "wasserstein":
            f = on_real.mean() - on_fake.mean()
        else:
            f = -softplus(-on_real).mean() - softplus(on_fake).mean()
        if self.task.l2:
            f = f - self.task.l2 * sum((p * p).sum() for p in self.d.parameters())
        if self.task.penalty:
            share = torch.randn(BATCH, 1, 1, 1, device=self.device)
            between = (share * real + (1 - share) * fake).detach().requires_grad_()
            slope = torch.autograd.grad(
                self.d(between).sum(), between, create_graph=True
            )[0]
            length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
            f = f - self.task.penalty * (length - 1).square().mean()
        return f

    def adam(self) -> None:
        """Make the discriminator's steps, then one of the generator."""
        for _ in range(self.critics):
            self.of_d.zero_grad()
            (-self.payoff()).backward()
            self.of_d.step()
        on_fake = self.d(self.g(self.noise()))  # no generator's loss needs real images
        if self.task.loss == "nonsaturating":
            loss = softplus(-on_fake).mean()
        else:
            loss = -on_fake.mean()
        self.of_g.zero_grad()
        loss.backward()
        self.of_g.step()

    def acgd(self) -> None:
        """Make a step of ACGD: y's system solved from zero to a residual of 1e-6."""
        f = self.payoff()
        xs, ys = list(self.g.parameters()), list(self.d.parameters())

        def gradient(of: Tensor, at: list[Tensor], create: bool) -> Tensor:
            parts = torch.autograd.grad(
                of, at, create_graph=create, retain_graph=True, allow_unused=True
            )
            return torch.cat(
                [
                    (torch.zeros_like(p) if g is None else g).flatten()
                    for g, p in zip(parts, at, strict=True)
                ]
            )

        f_x, f_y = gradient(f, xs, create=True), gradient(f, ys, create=True)
        field = torch.cat((f_x, f_y)).detach()
        before = torch.zeros_like(field) if self.second is None else self.second
        self.second = 0.99 * before + 0.01 * field**2
        size = 1e-4 / (self.second.sqrt() + 1e-5)
        a_x, a_y = size[: len(f_x)], size[len(f_x) :]
        root = a_y.sqrt()
        xy = lambda v: gradient(f_y @ v, xs, create=False)
        yx = lambda v: gradient(f_x @ v, ys, create=False)
        b = root * (f_y.detach() - yx(a_x * f_x.detach()))
        u, r = torch.zeros_like(b), b
        p, rr = r, r @ r
        goal = 1e-12 * rr
        for _ in range(1000):
            if rr <= goal:
                break
            ap = p + root * yx(a_x * xy(root * p))
            step = rr / (p @ ap)
            u, r = u + step * p, r - step * ap
            p, rr = r + (r @ r) / rr * p, r @ r
        dy = root * u
        dx = -a_x * (f_x.detach() + xy(dy))
        with torch.no_grad():
            for parts, moved in ((xs, dx), (ys, dy)):
                sizes = [one.numel() for one in parts]
                for one, by in zip(parts, moved.split(sizes), strict=True):
                    one.add_(by.view_as(one))


class Batched:
    """Runs of a setting as mmbench computes them."""

    def __init__(self, cell: Cell, device: torch.device, runs: int) -> None:
        self.cell, seeds = cell, tuple(range(runs))
        game = cell.task.build(Placement(device=device))
        starts = [cell.task.start(game, generator(one, "start")) for one in seeds]
        self.z = torch.stack(starts).to(device)
        self.oracle_state = OracleState(game, seeds, memory=game.memory(self.z))
        self.oracle = Oracle(self.oracle_state)
        self.state = cell.algorithm.init(self.oracle, self.z)

    def step(self) -> None:
        """Make one step of all runs."""
        self.oracle.resample()
        self.z, self.state = self.cell.algorithm.step(self.oracle, self.z, self.state)
        self.oracle_state.advance(self.z)


def seconds(step: Step, steps: int, device: torch.device) -> float:
    """Return seconds for each step; on a CPU those of this thread."""
    clock = time.perf_counter if device.type == "cuda" else time.thread_time
    if device.type == "cuda":
        torch.cuda.synchronize()
    begun = clock()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - begun) / steps


def rows(options: argparse.Namespace) -> Iterator[str]:
    """Yield a line of the table for each setting and number of runs."""
    device = torch.device(options.device)
    for cell in plan(SUITES["icr_cifar10"]):
        plain = PlainLoop(cell, device)
        plain.step()
        for runs in options.runs:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            batched = Batched(cell, device, runs)
            batched.step()
            with FlopCounterMode(display=False) as counted:
                batched.step()
            work = counted.get_total_flops() / runs
            pairs = [
                (
                    seconds(plain.step, options.steps, device),
                    seconds(batched.step, options.steps, device) / runs,
                )
                for _ in range(options.rounds)
            ]
            ours = statistics.median(one for _, one in pairs)
            ratio = statistics.median(theirs / mine for theirs, mine in pairs)
            memory = "-"
            if device.type == "cuda":
                memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}"
            images = 2 * BATCH * (getattr(cell.algorithm, "k", 0) + 1) / ours
            hours = work * ITERATIONS / (options.speed * 1e12) / 3600
            yield (
                f"| {cell.label} | {runs} | {ours * 1e3:.1f} | {images:,.0f} | "
                f"{ratio:.2f} | {memory} | {work / 1e9:.0f} | {hours:.1f} |"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--speed", type=float, default=10.0, help="TFLOP/s assumed for the hours"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    print(
        "| setting | runs | ms a step and run | images/s | against the plain loop | "
        "peak GiB | GFLOP a step | hours for 469,000 steps |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for row in rows(options):
        print(row, flush=True)


if __name__ == "__main__":
    main()

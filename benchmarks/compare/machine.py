"""The limits of the machine, and the share of them that is reached."""

from collections.abc import Iterator

import torch

from benchmarks.compare.cells import COMPILED, EAGER, Whole
from benchmarks.compare.gaussians import NOISE, RUNS, gan_cell, products
from benchmarks.compare.measuring import Options, Row, alternate, cpu_seconds, medians
from benchmarks.compare.toys import toy_cell

WITHIN = "loops entry by entry between the products; starts, draws and records"
POINT = 16  # bytes of a scalar game's run, read and written


def limits(options: Options) -> Iterator[Row]:
    """Measure large matrix products and copies, and cells in relation to them."""
    side, copied = options.size(1024, 64), options.size(2**28, 2**20)
    a, b = torch.randn(side, side), torch.randn(side, side)
    given, taken = (torch.ones(copied // 4) for _ in range(2))
    product = torch.empty(side, side)
    steps, short = options.size(96, 4), options.size(10_000, 80)
    runs = options.size(RUNS, 16)
    gan = gan_cell(64, "GDA", runs, steps)
    arms = {
        "product": lambda: cpu_seconds(lambda: torch.mm(a, b, out=product)),
        "copy": lambda: cpu_seconds(lambda: taken.copy_(given)),
        "GAN, eager": Whole(gan, EAGER),
        "GAN, compiled": Whole(gan, COMPILED),
        "bilinear, compiled": Whole(toy_cell("bilinear", "gda", 512, short), COMPILED),
    }
    times = alternate(arms, options.rounds)
    rates = [2 * side**3 / one / 1e9 for one in times["product"]]
    yield Row(f"product of {side} x {side}, float32, GFLOP/s", rates, "")
    widths = [2 * copied / one / 1e9 for one in times["copy"]]
    yield Row(f"copy of {copied >> 20} MiB, read and written, GB/s", widths, "")
    mflop = products(64, NOISE[64], 1, 0.0)[1]
    for arm in ("GAN, eager", "GAN, compiled"):
        reached = [
            100 * mflop / 1e3 / one / rate
            for one, rate in zip(times[arm], rates, strict=True)
        ]
        notes = f"{mflop:.1f} MFLOP a run-step; {medians(times, 'each')}"
        what = f"four Gaussians h=64, {arm[5:]}: of the rate of the large product"
        floor, aim = (60, 70) if arm == "GAN, compiled" else (None, None)
        yield Row(what, reached, "%", floor, aim, notes=notes, limit=WITHIN)
    reached = [
        100 * POINT / 1e9 / one / width
        for one, width in zip(times["bilinear, compiled"], widths, strict=True)
    ]
    what = "bilinear, 512 runs, compiled: of memory's rate"
    notes = f"{POINT} bytes a run-step, if each passed over memory"
    yield Row(what, reached, "%", notes=notes)

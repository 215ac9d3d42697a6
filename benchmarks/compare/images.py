"""Rows of image networks on a CPU, one run at a time."""

from collections.abc import Iterator

import torch

from benchmarks.compare.measuring import Options, Row, alternate, medians, ratios
from benchmarks.images import Batched, PlainLoop, seconds
from mmbench.core.errors import DataError
from mmbench.runner.plan import plan
from mmbench.suites import SUITES

SETTINGS = (
    "OGAN-NOREG + Adam",
    "WGAN-GP + Adam",
    "WGAN-SN + Adam",
    "OGAN-NOREG + ACGD",
)
LIMIT = "convolutions, the same on both sides; what is lost goes around them"


def steps(options: Options) -> Iterator[Row]:
    """Measure steps on CIFAR10 against the plain loop of the same networks."""
    device, steps = torch.device("cpu"), options.size(3, 1)
    cells = {cell.label: cell for cell in plan(SUITES["icr_cifar10"])}
    for label in SETTINGS:
        row = Row(f"CIFAR10, {label}, one run", (), floor=0.9, aim=1.0, limit=LIMIT)
        try:
            batched = Batched(cells[label], device, 1)
        except DataError:
            yield row._replace(notes="not measured: MMBENCH_DATA holds no CIFAR10")
            continue
        plain = PlainLoop(cells[label], device)
        arms = {
            "loop": lambda plain=plain: seconds(plain.step, steps, device),
            "mmbench": lambda batched=batched: seconds(batched.step, steps, device),
        }
        times = alternate(arms, options.rounds)
        values = ratios(times["loop"], times["mmbench"])
        yield row._replace(values=values, notes=medians(times, "a step"))

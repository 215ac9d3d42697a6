"""Compare the speed of mmbench with alternatives and with the machine's limits.

    python -m benchmarks.compare --peers PYTHON [--only NAME ...] [--rounds 5]

Writes `reports/speed.md` and `reports/speed.json`, row by row; groups that are not
measured again keep their numbers. Nothing else should run meanwhile. PYTHON is an
interpreter with what mmbench is compared with; without it, those rows say so:

    python -m venv peers
    peers/bin/pip install torch==2.13.0 jax==0.10.2 benchopt==1.10.0 CGDs==0.4.5 \\
        optax==0.2.8 torchopt==0.7.3 jax-cgd==1.0.4
"""

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.compare import commands, gaussians, images, machine, toys
from benchmarks.compare.measuring import Options, Row, median, use_one_core
from benchmarks.compare.page import Numbers, mark, number

GROUPS: dict[str, Callable[[Options], Iterator[Row]]] = {
    "toys": toys.eager,
    "toys-compiled": toys.compiled,
    "toys-short": toys.short,
    "step-map": toys.maps,
    "spectrum": toys.spectrum,
    "gaussians": gaussians.narrow,
    "gaussians-adam": gaussians.narrow_adam,
    "gaussians-cgd": gaussians.narrow_cgd,
    "gaussians-wide": gaussians.wide,
    "second-order": gaussians.second_order,
    "images": images.steps,
    "probe": commands.probe,
    "start-up": commands.start_up,
    "cores": commands.cores,
    "harness": commands.harness,
    "growth": toys.growth,
    "memory": commands.memory,
    "vmap": toys.vmapped,
    "vmap-gaussians": gaussians.vmapped,
    "machine": machine.limits,
}
REPORTS = Path(__file__).parents[2] / "reports"


def main() -> None:
    """Measure and write."""
    description, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=description,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=GROUPS,
        default=list(GROUPS),
        metavar="NAME",
        help=f"Groups of rows: {', '.join(GROUPS)}.",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--out", type=Path, default=REPORTS, metavar="FOLDER")
    parser.add_argument(
        "--small", action="store_true", help="Sizes that show that it works, no more."
    )
    given = parser.parse_args()
    if given.small and given.out == REPORTS:
        parser.error("--small must have an --out of its own")
    given.out.mkdir(parents=True, exist_ok=True)
    options = Options(given.rounds, given.peers, given.small)
    numbers = Numbers(given.out)
    use_one_core()
    # Compiling is then measured from the beginning.
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        broken = [
            group
            for group in GROUPS
            if group in given.only and not measured(group, options, numbers)
        ]
    sys.exit(f"Broke down: {', '.join(broken)}" if broken else 0)


def measured(group: str, options: Options, numbers: Numbers) -> bool:
    """Measure a group and return whether it ended without error."""
    begun = time.perf_counter()
    numbers.begin(group, options)
    try:
        for row in GROUPS[group](options):
            numbers.add(group, row, list(GROUPS))
            found = number(median(row.values), row.unit) if row.values else row.notes
            marked = mark(row) if row.floor is not None else ""
            print(f"{row.what}: {found} {marked}", flush=True)
    except Exception:
        traceback.print_exc()
        return False
    print(f"({group}: {time.perf_counter() - begun:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    main()

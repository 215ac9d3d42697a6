"""Who computes, and what a cell may take: options of `mmbench run`."""

import math
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from mmbench.runner.limits import Limits, Workers

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}  # powers of 1024


class Size(click.ParamType):
    """Bytes, as 800M or 4GB."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?", value.lower())
        size = float(found[1]) * 1024 ** _UNITS[found[2]] if found else 0
        if not 0 < size < 2**63:
            self.fail(f"must be a size such as 800M or 4GB; got {value!r}.", param, ctx)
        return int(size)


def hands(command: Callable[..., None]) -> Callable[..., None]:
    """Options that give a command `workers` and `limits`."""

    @click.option(
        "--workers",
        type=click.IntRange(0),
        default=0,
        help="Worker processes on this machine.  [default: this process computes]",
    )
    @click.option(
        "--scheduler",
        metavar="ADDRESS|FILE",
        default="",
        help="A Dask scheduler whose workers compute.",
    )
    @click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="End a cell that takes longer; what it recorded is kept. Workers may "
        "split a cell by runs: then each part has that time.",
    )
    @click.option(
        "--memory",
        type=Size(),
        help="End a cell whose process holds more, such as 4GB.",
    )
    @wraps(command)
    def wrapped(
        workers: int,
        scheduler: str,
        timeout: float | None,
        memory: int | None,
        **rest: Any,
    ) -> None:
        if workers and scheduler:
            raise click.UsageError(
                "--workers and --scheduler must not be given together; one of them "
                "says who computes."
            )
        if timeout is not None and not math.isfinite(timeout):
            raise click.UsageError(
                f"--timeout must be a finite number of seconds; got {timeout}."
            )
        command(
            workers=Workers(workers, scheduler), limits=Limits(timeout, memory), **rest
        )

    return wrapped


@contextmanager
def terminable() -> Iterator[None]:
    """Being asked to end (SIGTERM) is as being interrupted: nothing is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

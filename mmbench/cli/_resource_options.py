"""Options of `mmbench run` for its workers and for the limits of a cell."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from mmbench.cli._numbers import Folder, Number, Whole
from mmbench.runner.limits import NO_WORKERS_SECONDS, Limits, Workers

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}  # powers of 1024


class Size(click.ParamType):
    """A number of bytes, written as 800M or 4GB."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?", value.lower())
        size = float(found[1]) * 1024 ** _UNITS[found[2]] if found else 0
        if not 0 < size < 2**63:
            self.fail(f"must be a size such as 800M or 4GB; got {value!r}.", param, ctx)
        return int(size)


def resource_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command options that it gets as `workers` and `limits`."""

    @click.option(
        "--workers",
        type=Whole(1),
        metavar="N",
        help="Most processes that compute on this machine; with 1, this process does.  "
        "[default: one for each core, or GPU, where the work is worth it]",
    )
    @click.option(
        "--scheduler",
        metavar="ADDRESS|FILE",
        default="",
        help="Address or file of a Dask scheduler; its workers compute. Without any "
        f"for {NO_WORKERS_SECONDS} s, the command ends with exit code 1.",
    )
    @click.option(
        "--timeout",
        type=Number("seconds"),
        metavar="SECONDS",
        help="End a cell that takes longer and keep what it recorded. Workers may "
        "split a cell by runs; then each of these shards may take this long.",
    )
    @click.option(
        "--memory",
        type=Size(),
        help="End a cell whose process needs more memory, such as 4GB.",
    )
    @wraps(command)
    def wrapped(
        workers: int | None,
        scheduler: str,
        timeout: float | None,
        memory: int | None,
        **rest: Any,
    ) -> None:
        if workers and scheduler:
            raise click.UsageError(
                "--workers and --scheduler must not be given together; leave one of "
                "them out."
            )
        command(
            workers=Workers(workers or 0, scheduler),
            limits=Limits(timeout, memory),
            **rest,
        )

    return wrapped


data_dir_option = click.option(
    "--data-dir",
    type=Folder(),
    help="Folder of data files.  [default: MMBENCH_DATA, then a download]",
)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that temporary files are removed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""mmbench results: the tidy table of stored results."""

import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmbench.cli import print_stderr
from mmbench.cli._load_results import gather_selected
from mmbench.cli._numbers import Folder
from mmbench.cli._selection import Selection, selection_options, store_option
from mmbench.core.errors import MmbenchError
from mmbench.core.files import remove_leftovers, write_atomically
from mmbench.core.printable import escape_markdown

if TYPE_CHECKING:
    import pandas as pd


def _csv(frame: "pd.DataFrame") -> bytes:
    from mmbench.analysis.export import to_csv

    return to_csv(frame)


def _json(frame: "pd.DataFrame") -> bytes:
    return b"".join(_json_pieces([frame]))


def _json_pieces(frames: "Iterable[pd.DataFrame]") -> Iterator[bytes]:
    before = "["
    for frame in frames:
        # The writer of pandas keeps 15 decimals and so turns 1e-20 into 0. JSON has
        # neither NaN nor infinity; both become null.
        bare = frame.replace([math.inf, -math.inf], math.nan).astype(object)
        rows = bare.where(bare.notna(), None).to_dict("records")
        written = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        yield f"{before}{written}".encode()
        before = ",\n"
    yield b"]\n"


def _parquet(frame: "pd.DataFrame") -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _markdown(frame: "pd.DataFrame") -> bytes:
    return b"".join(_markdown_pieces([frame]))


def _markdown_pieces(frames: "Iterable[pd.DataFrame]") -> Iterator[bytes]:
    for at, frame in enumerate(frames):
        rows = [[_field(name) for name in frame], ["---"] * len(frame.columns)]
        rows = [] if at else rows
        for row in frame.itertuples(index=False):
            rows.append([_field(value) for value in row])
        yield "".join(f"| {' | '.join(row)} |\n" for row in rows).encode()


def _latex(frame: "pd.DataFrame") -> bytes:
    from mmbench.analysis.report.latex import format_frame

    return format_frame(frame).encode()


def _field(value: object) -> str:
    return escape_markdown(f"{value:.6g}" if isinstance(value, float) else str(value))


FORMATS: dict[str, Callable[["pd.DataFrame"], bytes]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "markdown": _markdown,
    "latex": _latex,
}
_SUFFIXES = {
    "": "csv",
    ".csv": "csv",
    ".json": "json",
    ".parquet": "parquet",
    ".md": "markdown",
    ".tex": "latex",
}


def format_of(out: Path | None, hint: str = "") -> str:
    """Return the format that the name of a file means.

    Args:
        out: the file; None where there is none.
        hint: what to do about a name that means none, with a space before it.

    Raises:
        MmbenchError: when it means none that is written.
    """
    suffix = out.suffix.lower() if out else ""
    if suffix not in _SUFFIXES:
        known = ", ".join(filter(None, _SUFFIXES))
        raise MmbenchError(f"--out must end in one of {known}; got {str(out)!r}.{hint}")
    return _SUFFIXES[suffix]


def choose_format(form: str | None, out: Path | None) -> str:
    """Return the format that was given, or that the name of a file means.

    Raises:
        MmbenchError: when there is none, or it is not for where it goes.
    """
    form = form or format_of(out, " Give --format for a file of another name.")
    if form == "parquet" and not out and sys.stdout.isatty():
        raise MmbenchError(
            "--format parquet must go to a file or a pipe, as it is not text; got a "
            "terminal. Give --out FILE."
        )
    return form


def write_content(content: bytes, out: Path | None) -> None:
    """Write to a file whole or not at all; see `write_pieces`."""
    write_pieces([content], out)


def write_pieces(pieces: Iterable[bytes], out: Path | None) -> None:
    """Write to a file whole or not at all; a pipe or a device just takes it.

    Args:
        pieces: what to write, one after the other.
        out: the file; None is stdout.

    Raises:
        MmbenchError: when the file cannot be written.
    """
    if out is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return
    path = out.resolve()
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as device:
                device.writelines(pieces)
        else:
            remove_leftovers([path])
            write_atomically(path, pieces)
    except OSError as error:
        raise MmbenchError(
            f"--out must be a file that can be written; {out} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def format_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options --format, as `form`, and --out."""
    verb = click.option(
        "--out", type=Folder(), help="Write to this file, not to stdout."
    )(verb)
    return click.option(
        "--format",
        "form",
        type=click.Choice(list(FORMATS)),
        help="Format of the table.  [default: by the suffix of --out; csv without one]",
    )(verb)


@click.command("results", short_help="Print the tidy table of stored results.")
@selection_options
@store_option
@format_options
def command(
    selection: Selection, store: Path, form: str | None, out: Path | None
) -> None:
    """Print the tidy table of SUITE, of a grid, or of everything in the store.

    The table has one row for each cell, seed and recorded step.
    """
    form = choose_format(form, out)
    from mmbench.analysis.export import make_printable, to_csv, to_parquet
    from mmbench.store.schema import to_frame

    gathered = gather_selected(selection, store, with_footers=form == "latex")
    rows = gathered.tables.rows
    if form == "latex":  # its columns are aligned
        write_content(_latex(make_printable(gathered.results().frame)), out)
    elif form == "csv":
        pieces = enumerate(gathered.pieces())
        write_pieces((to_csv(piece, header=not at) for at, piece in pieces), out)
    elif form == "parquet":
        write_pieces(to_parquet(gathered.pieces()), out)
    else:
        frames = (make_printable(to_frame(piece)) for piece in gathered.pieces())
        written = {"json": _json_pieces, "markdown": _markdown_pieces}[form](frames)
        write_pieces(written, out)
    if out:
        print_stderr(f"{rows:,} rows in {out}")

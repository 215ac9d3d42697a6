"""The command line: one file a verb, loaded when the verb is asked for.

In this package torch, pandas and whatever needs them are imported inside functions, so
that `mmbench --version` and `mmbench list` answer at once.
"""

import atexit
import gc
import importlib
import shutil
import sys
from textwrap import TextWrapper
from typing import IO, Any

import click

from mmbench.core.errors import MmbenchError, unknown_name
from mmbench.core.printable import printable

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# Else the end of the process looks for garbage among the million objects of torch and
# pandas, a quarter of the time of a command that computes nothing.
atexit.register(gc.freeze)

VERBS = (
    "list",
    "show",
    "plan",
    "run",
    "results",
    "report",
    "replay",
    "verify",
    "store",
    "features",
)


class Failed(click.ClickException):
    """Work that was begun and did not end well: exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Say so on stderr, on a terminal without breaking words."""
        say(f"Error: {self.message}")


class Refused(Failed):
    """Input that cannot be worked with: one sentence on stderr, exit code 2."""

    exit_code = 2


def say(message: str) -> None:
    """Write to stderr."""
    message = printable(message)
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        wrap = TextWrapper(width, break_long_words=False, break_on_hyphens=False)
        message = "\n".join(wrap.fill(line) for line in message.splitlines())
    click.echo(message, err=True)


def printed(text: str) -> None:
    """Print text that may hold anything."""
    click.echo(printable(text))


class _Verbs(click.Group):
    """A group that imports a verb's module when the verb is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            ctx.fail(str(unknown_name("command", name, VERBS)))
        return importlib.import_module(f"mmbench.cli.{name}").command

    def invoke(self, ctx: click.Context) -> None:
        """Run the verb; what the user can mend becomes a sentence."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()  # here a closed pipe is still quiet
        except MmbenchError as error:
            raise Refused(" ".join(str(error).split())) from None
        except KeyboardInterrupt:
            say("Interrupted.")
            raise click.exceptions.Exit(INTERRUPTED) from None


# "\b" keeps click from filling a paragraph.
_EXAMPLES = """\b
Examples:
  mmbench run quick                  compute a suite, a minute
  mmbench report quick --out page    turn it into a page
  mmbench run -t bilinear -a gda -a "cgd[step_size=0.2]"
"""


@click.command(
    cls=_Verbs,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(package_name="mmbench", message="mmbench %(version)s")
def main() -> None:
    """Compare min-max algorithms on tasks with known answers and on real images.

    Tasks, algorithms and metrics take parameters in brackets; `mmbench show NAME` tells
    which. A class of your own is named by its file: -a "path/mine.py:Mine[k=3]".

    Exit codes: 0 done (diverging is a result), 1 a cell ended with an error, 2 input
    refused before any work, 130 interrupted.
    """

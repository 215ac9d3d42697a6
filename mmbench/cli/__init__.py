"""The command line: one file for each verb, imported when the verb is called.

In this package torch, pandas and whatever needs them are imported inside functions, so
that `mmbench --version` and `mmbench list` start fast.
"""

import atexit
import gc
import importlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from mmbench.core.errors import MmbenchError, unknown_name
from mmbench.core.printable import printable
from mmbench.core.user_code import TRACEBACK_VARIABLE, print_traceback_if_wanted

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# Without this, Python looks for garbage among the million objects of torch and pandas
# when it exits, a quarter of the time of a command that computes nothing.
atexit.register(gc.freeze)

# While such modules load, Python would look at all of their objects a dozen times, an
# eighth of the time. So it does not before there are 700,000 new ones; garbage that is
# younger is found as ever.
gc.set_threshold(*gc.get_threshold()[:2], 100)

VERBS = (
    "list",
    "show",
    "plan",
    "tune",
    "run",
    "results",
    "report",
    "leaderboard",
    "claims",
    "figure",
    "cite",
    "replay",
    "verify",
    "submit",
    "check",
    "store",
    "features",
)


class WorkError(click.ClickException):
    """Work that began and failed: one message on stderr, exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message to stderr."""
        print_stderr(f"Error: {self.message}")


class InputError(WorkError):
    """Bad input, found before any work: one sentence on stderr, exit code 2."""

    exit_code = 2


def print_stderr(message: str) -> None:
    """Print a message to stderr; on a terminal, wrap its lines between words."""
    click.echo(_fill(message, sys.stderr), err=True)


def print_stdout(text: str) -> None:
    """Print text to stdout; on a terminal, wrap its lines between words."""
    click.echo(_fill(text, sys.stdout))


def _fill(text: str, stream: IO[str]) -> str:
    """Return printable text, wrapped if a stream is a terminal; indents stay."""
    text = printable(text)
    if not stream.isatty():
        return text
    from mmbench.cli._console import wrap_line

    width = shutil.get_terminal_size().columns
    lines: list[str] = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip(" "))]
        lines += wrap_line(line.lstrip(" "), width, indent, indent)
    return "\n".join(lines)


def print_command(words: Sequence[str], before: str = "") -> None:
    """Print a command to stdout as it can be copied into a shell.

    Args:
        words: the command and its arguments.
        before: what is printed before it.
    """
    if not sys.stdout.isatty():
        click.echo(printable(before + shlex.join(words)))
        return
    from mmbench.cli._console import command_lines

    width = shutil.get_terminal_size().columns
    if len(before) + len(shlex.join(words)) > width and before:
        click.echo(before.rstrip())
        before = ""
    for line in command_lines(words, width - len(before)):
        click.echo(printable(before + line))


class _Verbs(click.Group):
    """A click group that imports a verb's module when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            ctx.fail(_explain_verb(name))
        verb = importlib.import_module(f"mmbench.cli.{name}").command
        _add_traceback_option(verb)
        return verb

    def invoke(self, ctx: click.Context) -> None:
        """Run the verb and turn an `MmbenchError` into a message with exit code 2."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()  # click still handles a closed pipe here
        except MmbenchError as error:
            print_traceback_if_wanted(error)
            raise InputError(" ".join(str(error).split())) from None
        except click.UsageError as error:
            message = _fill(f"Error: {error.format_message()}", sys.stderr)
            shown = message.removeprefix("Error: ")
            raise click.UsageError(shown, error.ctx) from None
        except KeyboardInterrupt:
            print_stderr("Interrupted.")
            raise click.exceptions.Exit(INTERRUPTED) from None


def _add_traceback_option(verb: click.Command) -> None:
    """Give a verb, and each verb of a group, the option --traceback."""
    if isinstance(verb, click.Group):
        for inner in verb.commands.values():
            _add_traceback_option(inner)
    elif not any(option.name == "traceback" for option in verb.params):
        verb.params.append(
            click.Option(
                ["--traceback"],
                is_flag=True,
                expose_value=False,
                callback=_print_tracebacks,
                help="Print the whole traceback of each error on stderr.",
            )
        )


def _print_tracebacks(
    ctx: click.Context, _option: click.Parameter, wanted: bool
) -> None:
    """Print tracebacks in this process and in those that it starts, if wanted."""
    if wanted and TRACEBACK_VARIABLE not in os.environ:
        os.environ[TRACEBACK_VARIABLE] = "1"
        root = ctx.find_root()
        root.call_on_close(lambda: os.environ.pop(TRACEBACK_VARIABLE, None))


def _explain_verb(name: str) -> str:
    """Return the message for an unknown verb, with what may have been meant."""
    from mmbench.cli._registries import FAMILIES

    for family, registry in FAMILIES.items():
        if name in registry:
            verb = "run" if family == "suites" else "show"
            return f"{name!r} is no command; write `mmbench {verb} {name}`."
    if name.endswith(".toml"):
        return f"{name!r} is no command; write `mmbench run {name}`."
    return str(unknown_name("command", name, VERBS))


# "\b" keeps click from filling a paragraph.
_EXAMPLES = """\b
Examples:
  mmbench run quick                  compute a suite in about a minute
  mmbench report quick --out page    write a page about it
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

    Tasks, algorithms and metrics take parameters in brackets; `mmbench show NAME` lists
    them. A class of your own is named by its file: -a "path/mine.py:Mine[k=3]".

    Exit codes: 0 done (a run that diverges is a result), 1 a cell ended with an error,
    2 bad input and nothing computed, 130 interrupted.
    """

"""mmbench list: the name and summary of every task, algorithm, metric and suite."""

import json
import shutil
import sys

import click

from mmbench.cli._console import wrap_line
from mmbench.cli._registries import FAMILIES, registrations, summaries
from mmbench.core.printable import printable

MIN_SUMMARY = 30  # columns of a summary beside its name


@click.command("list")
@click.argument(
    "family", metavar="[FAMILY]", required=False, type=click.Choice(list(FAMILIES))
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(family: str | None, as_json: bool) -> None:
    """List tasks, algorithms, metrics and suites.

    External ones, which installed packages register, come last, with the package.

    FAMILY is one of tasks, algorithms, directions, acceptances, schedules, losses,
    regularisers, metrics and suites. Directions, acceptance laws and schedules are
    parameters of algorithms, as in "gda[direction=adam]"; losses and regularisers are
    parameters of GANs.
    """
    chosen = [name for name in FAMILIES if family in (None, name)]
    families = {name: list(summaries(name)) for name in chosen}
    external = {name: registrations(name) for name in chosen}
    for problem in [
        each for one in external.values() for each in one.problems.values()
    ]:
        click.echo(f"Warning: {printable(problem)}", err=True)
    if as_json:
        document = {
            name: [{"name": member, "summary": line} for member, line in members]
            + [
                {"name": member, "summary": one.summary, "package": one.package}
                for member, one in external[name].members.items()
            ]
            for name, members in families.items()
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for name, found in external.items():
        for member, one in found.members.items():
            line = printable(f"{one.summary} (external, {one.package})").strip()
            families[name].append((member, line))
    longest = max(len(name) for members in families.values() for name, _ in members)
    # A pipe gets one line for each member, for grep.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    for number, (name, members) in enumerate(families.items()):
        if family is None:
            click.secho(("\n" if number else "") + name, bold=True)
        for member, line in members:
            indent = longest + 4 if width >= longest + MIN_SUMMARY else 4
            head = f"  {member:<{longest}}  "
            if indent < len(head):
                click.echo(head.rstrip())
                head = " " * indent
            for filled in wrap_line(line, width, head, " " * indent):
                click.echo(filled)

"""mmbench list: what there is, one line each."""

import json
import shutil
import sys
import textwrap

import click

from mmbench.cli._registries import FAMILIES, summaries


@click.command("list")
@click.argument("family", required=False, type=click.Choice(list(FAMILIES)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(family: str | None, as_json: bool) -> None:
    """List tasks, algorithms, metrics and suites.

    Directions and acceptance laws stand in parameters of algorithms, as in
    "gda[direction=adam]".
    """
    told = {name: list(summaries(name)) for name in FAMILIES if family in (None, name)}
    if as_json:
        document = {
            name: [{"name": one, "summary": line} for one, line in members]
            for name, members in told.items()
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    longest = max(len(one) for members in told.values() for one, _ in members)
    # A pipe gets one line each, for grep.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    for number, (name, members) in enumerate(told.items()):
        if family is None:
            click.secho(("\n" if number else "") + name, bold=True)
        for one, line in members:
            click.echo(
                textwrap.fill(
                    line,
                    max(width, longest + 30),
                    initial_indent=f"  {one:<{longest}}  ",
                    subsequent_indent=" " * (longest + 4),
                )
            )

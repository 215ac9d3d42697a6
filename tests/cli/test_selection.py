"""Options that change the grids of a suite."""

from dataclasses import fields

import click
import pytest

from mmbench.cli import main
from mmbench.cli._selection import Selection
from mmbench.core.run_settings import RunSettings
from mmbench.suites.base import grid_fields

SETTINGS = [field for field in grid_fields() if field.metadata.get("option")]


@pytest.mark.parametrize("field", SETTINGS, ids=lambda field: field.name)
@pytest.mark.parametrize("verb", ["plan", "run", "results", "report"])
def test_every_setting_has_an_option(verb: str, field) -> None:
    """The option has the help, default and values of the declaration."""
    command = main.get_command(click.Context(main), verb)
    (option,) = [one for one in command.params if one.name == field.name]
    assert option.opts == [f"--{field.name.replace('_', '-')}"]
    assert option.help.startswith(field.metadata["meaning"])
    assert f"[default: {field.default}, or the suite's]" in option.help
    assert (
        command.make_context(verb, []).params[field.name] is None
    )  # the suite's value stays
    assert option.type.convert(str(field.default), option, None) == field.default


def test_settings_of_chains_have_no_option() -> None:
    """All other settings of a run do."""
    options = {field.name for field in SETTINGS}
    assert {field.name for field in fields(RunSettings)} - options == {"inherit"}
    assert "after" not in options


@pytest.mark.parametrize("words", [("gan",), ("-t", "four_gaussians", "-a", "gda")])
def test_precision_and_keep_change_grids(words: tuple[str, ...]) -> None:
    """Both options change grids and suites, and only the precision changes keys."""
    name = words[0] if len(words) == 1 else None
    axes = {"tasks": (), "algorithms": (), "metrics": ()}
    if not name:
        axes |= {"tasks": ("four_gaussians",), "algorithms": ("gda",)}
    plain = Selection(name, axes, {}).cells
    changed = Selection(name, axes, {"precision": "bf16", "keep": "last"}).cells
    kept = Selection(name, axes, {"keep": "last"}).cells
    assert {cell.precision for cell in changed} == {"bf16"}
    assert {cell.keep for cell in changed} == {"last"}
    assert [cell.key for cell in kept] == [cell.key for cell in plain]
    assert not {cell.key for cell in changed} & {cell.key for cell in plain}

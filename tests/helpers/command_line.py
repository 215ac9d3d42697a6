"""A small grid as options of the command line."""

from collections.abc import Callable

from click.testing import Result

Cli = Callable[..., Result]


TINY = ("--seeds", "2", "--steps", "20", "--records", "2")
GRID = ("-t", "bilinear", "-a", "gda", *TINY)

"""The keys of the built-in suites: results stored under them stay valid.

A class that moves without a line in `FIRST_NAMES`, a changed default and a raised
version all change keys. Where that is meant, regenerate with
`pytest tests/golden --regenerate`.
"""

from pathlib import Path

from mmbench.runner.plan import plan
from mmbench.suites import SUITES

KEYS = Path(__file__).with_name("keys.txt")


def test_keys_of_the_built_in_suites(regenerate: bool) -> None:
    """Every cell of every built-in suite has the key that is written down."""
    planned = [f"{name} {cell.key}" for name in SUITES for cell in plan(SUITES[name])]
    if regenerate:
        KEYS.write_text("\n".join(planned) + "\n", "utf-8")
    assert planned == KEYS.read_text("utf-8").splitlines()

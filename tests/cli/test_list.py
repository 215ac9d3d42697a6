"""`mmbench list`: a line for each member of each family."""

import json

import pytest
from command_line import Cli

from mmbench.algorithms import ALGORITHMS
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.tasks import TASKS


@pytest.mark.parametrize(
    ("family", "registry"),
    [
        ("tasks", TASKS),
        ("algorithms", ALGORITHMS),
        ("metrics", METRICS),
        ("suites", SUITES),
    ],
)
def test_list_has_a_line_for_each_member(cli: Cli, family: str, registry: dict) -> None:
    output = json.loads(cli("list", family, "--json").stdout)
    assert [one["name"] for one in output[family]] == list(registry)
    assert all(one["summary"] for one in output[family])
    lines = cli("list", family).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(registry)


def test_list_without_a_family_has_all(cli: Cli) -> None:
    output = json.loads(cli("list", "--json").stdout)
    assert {"tasks", "algorithms", "metrics", "suites"} < set(output)
    printed = cli("list").stdout
    for members in output.values():
        assert all(one["name"] in printed for one in members)

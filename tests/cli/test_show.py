"""`mmbench show`: parameters, costs, sources, columns and protocols."""

import json

import pytest
from command_line import Cli

from mmbench.algorithms import ALGORITHMS
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.tasks import TASKS


def test_show_tells_parameters_cost_and_source(cli: Cli) -> None:
    output = json.loads(cli("show", "extragradient", "--json").stdout)
    assert output["family"] == "algorithm"
    assert output["parameters"][0]["name"] == "step_size"
    assert output["parameters"][0]["default"] == "0.1"
    assert "above 0" in output["parameters"][0]["domain"]
    assert output["gradient_equivalents"] == 4
    assert output["search_space"]["step_size_x"] == "log-uniform from 0.001 to 3"
    printed = cli("show", "extragradient").stdout
    for message in ("look ahead", "step_size", "default 0.1", "Korpelevich", "2 ∇x"):
        assert message in printed


def test_show_answers_for_parameters(cli: Cli) -> None:
    assert "6 ∇y" in cli("show", "alternating_gda[k=6]").stdout
    assert json.loads(cli("show", "svre", "--json").stdout)["needs"] == [
        "a game whose losses are means of finitely many terms"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *TASKS,
        *ALGORITHMS,
        *METRICS,
        "adam",
        "every",
        "smoke",
        "gan",
        "mine.py:Mine",
    ],
)
def test_show_answers_for_every_name(cli: Cli, name: str) -> None:
    output = json.loads(cli("show", name, "--json").stdout)
    assert output["summary"]
    assert output["summary"][:20] in cli("show", name).stdout


def test_show_tells_a_tasks_target_and_a_metrics_columns(cli: Cli) -> None:
    task = json.loads(cli("show", "bilinear", "--json").stdout)
    assert task["target"] == "distance ≤ 0.001"
    assert "a zero-sum game" in task["gives"]
    metric = json.loads(cli("show", "gap", "--json").stdout)
    assert metric["columns"][0]["name"] == "gap"
    assert metric["protocol"] == {}


def test_show_tells_how_images_are_measured(cli: Cli) -> None:
    """JSON has the whole digest, and the page a short one."""
    protocol = json.loads(cli("show", "frechet_distance", "--json").stdout)["protocol"]
    assert len(protocol["sha256"]) == 64
    printed = cli("show", "frechet_distance").stdout
    assert f"sha256 {protocol['sha256'][:12]}…; resize none" in printed
    assert protocol["sha256"] not in printed


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", [*TASKS, *METRICS, *SUITES])
def test_show_reads_well_on_eighty_columns(cli: Cli, name: str) -> None:
    lines = cli("show", name).stdout.splitlines()
    # Formulas and lists stand as they are in the docstring.
    wide = [line for line in lines if len(line) > 80]
    assert all(line.startswith("    ") for line in wide), wide
    assert not wide or name not in SUITES, wide

"""`mmbench plan`: cells that are stored, and cells to compute."""

import json
from pathlib import Path

from command_line import GRID, TINY, Cli


def test_plan_says_what_is_there(cli: Cli) -> None:
    before = json.loads(cli("plan", *GRID, "-a", "omd", "--json").stdout)
    assert (before["waiting"], before["run_steps"]) == (2, 80)
    assert not Path("mmbench-results").exists()
    assert cli("run", *GRID).exit_code == 0
    after = json.loads(cli("plan", *GRID, "-a", "omd", "--json").stdout)
    assert [cell["stored"] for cell in after["cells"]] == [True, False]
    assert (after["waiting"], after["run_steps"]) == (1, 40)
    printed = cli("plan", *GRID, "-a", "omd").stdout
    assert "2 cells: 1 in mmbench-results, 1 to compute" in printed
    assert after["cells"][0]["key"][:8] in printed


def test_budgets_are_no_steps(cli: Cli) -> None:
    """Costs are told apart from steps, in the table and in what is to be done."""
    words = ("plan", "-t", "dirac_gan", "-a", "gda", "--seeds", "2")
    printed = cli(*words, "--budget", "30").stdout
    assert "2 x 30 gradient-equivalents" in printed
    assert "1 to compute (60 gradient-equivalents of single runs)" in printed
    found = json.loads(cli(*words, "--budget", "1", "--json").stdout)
    assert (found["run_steps"], found["run_costs"]) == (0, {"gradient-equivalents": 2})
    assert "2 x 1 gradient-equivalent\n" in cli(*words, "--budget", "1").stdout


def test_samples_are_refused_where_there_are_no_data(cli: Cli) -> None:
    words = ("plan", "-a", "gda", "--budget", "30", "--unit", "samples")
    refused = cli(*words, "-t", "dirac_gan")
    assert refused.exit_code == 2
    assert "must be spent on games with data; dirac_gan has none" in refused.stderr
    assert cli(*words, "-t", "finite_sum_bilinear").exit_code == 0
    assert cli(*words, "-t", "bilinear[noise=0.1]").exit_code == 0
    assert cli(*words, "-t", "four_gaussians").exit_code == 0


def test_a_number_out_of_range_is_not_advised(cli: Cli) -> None:
    """What would be as wrong is no advice; another spelling of a number is."""
    assert "got '0'.\n" in cli("plan", "smoke", "--seeds", "0").stderr
    assert "got '1e1'. Write 10." in cli("plan", "smoke", "--seeds", "1e1").stderr


def test_options_change_the_grids_of_a_suite(cli: Cli) -> None:
    words = ("plan", "smoke", "--json", "--first-seed", "7", "--dtype", "float64")
    cells = json.loads(cli(*words, *TINY).stdout)["cells"]
    assert len(cells) == 20
    for cell in cells:
        assert (cell["runs"], cell["steps"], cell["first_seed"]) == (2, 20, 7)
        assert cell["dtype"] == "float64"

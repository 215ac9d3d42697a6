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


def test_options_change_the_grids_of_a_suite(cli: Cli) -> None:
    words = ("plan", "smoke", "--json", "--first-seed", "7", "--dtype", "float64")
    cells = json.loads(cli(*words, *TINY).stdout)["cells"]
    assert len(cells) == 20
    for cell in cells:
        assert (cell["runs"], cell["steps"], cell["first_seed"]) == (2, 20, 7)
        assert cell["dtype"] == "float64"

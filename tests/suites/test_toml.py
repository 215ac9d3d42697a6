"""A suite.toml gives the objects of a built-in suite, or one sentence of error."""

from pathlib import Path

import pytest

from mmbench.core.errors import DescriptionError
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite
from mmbench.suites.toml import load_suite

GOOD = """
name = "mine"
title = "My method against GDA"

[[grid]]
tasks = ["bilinear", "quadratic"]
algorithms = ["gda", "tame = gda[step_size=0.01]", {label = "C", algorithm = "cgd"}]
metrics = ["distance"]
seeds = 3
first_seed = 5
steps = 20
records = 4
dtype = "float64"

[[grid]]
tasks = ["dirac_gan"]
algorithms = ["omd"]
"""

TUNED = GOOD.replace("[[grid]]", 'tuned = "tuning.parquet"\n\n[[grid]]', 1)

EXTERNAL = """
from dataclasses import dataclass
from mmbench.algorithms.gda import GDA

@dataclass(frozen=True, kw_only=True)
class Mine(GDA):
    \"\"\"Mine.\"\"\"
"""


def write(folder: Path, content: str | bytes, name: str = "suite.toml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_gives_the_objects_that_python_would(tmp_path: Path) -> None:
    assert load_suite(write(tmp_path, GOOD)) == Suite(
        name="mine",
        title="My method against GDA",
        grids=(
            Grid(
                tasks=("bilinear", "quadratic"),
                algorithms=("gda", "tame = gda[step_size=0.01]", "C = cgd"),
                metrics=("distance",),
                seeds=3,
                first_seed=5,
                steps=20,
                records=4,
                dtype="float64",
            ),
            Grid(tasks=("dirac_gan",), algorithms=("omd",)),
        ),
    )


def test_the_name_is_the_stem_where_none_is_given(tmp_path: Path) -> None:
    path = write(
        tmp_path, '[[grid]]\ntasks=["bilinear"]\nalgorithms=["gda"]', "toys.toml"
    )
    assert load_suite(path).name == "toys"


def test_labels_reach_the_cells(tmp_path: Path) -> None:
    cells = plan(load_suite(write(tmp_path, GOOD)))
    assert [cell.label for cell in cells[:3]] == ["gda", "tame", "C"]
    assert cells[0].seeds == (5, 6, 7)


@pytest.mark.parametrize(
    "entry",
    [
        '"sub dir/mine.py:Mine"',
        '"M = sub dir/mine.py:Mine"',
        '{label = "M", algorithm = "sub dir/mine.py:Mine[step_size=0.5]"}',
        '"./sub dir/../sub dir/mine.py:Mine[step_size=(0.1,0.2)]"',
    ],
)
def test_files_are_found_from_the_folder_of_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    (tmp_path / "sub dir").mkdir()
    write(tmp_path, EXTERNAL, "sub dir/mine.py")
    path = write(tmp_path, f'[[grid]]\ntasks=["bilinear"]\nalgorithms=[{entry}]')
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    (cell,) = plan(load_suite(path))
    assert type(cell.algorithm).__name__ == "Mine"
    monkeypatch.chdir(tmp_path)
    (again,) = plan(load_suite(Path("suite.toml")))
    assert again.key == cell.key


@pytest.mark.parametrize(
    "entry",
    ["mine.py:Mine", "M = mine.py:Mine[step_size=0.5]", "q [1], z=2/mine.py:Mine"],
)
def test_folders_may_have_brackets_commas_and_equals_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """The same holds for a file that is named on the command line."""
    folder = tmp_path / "bar [v2], x=1"
    (folder / "q [1], z=2").mkdir(parents=True)
    for name in ("mine.py", "q [1], z=2/mine.py"):
        write(folder, EXTERNAL, name)
    path = write(folder, f'[[grid]]\ntasks=["bilinear"]\nalgorithms=["{entry}"]')
    monkeypatch.chdir(tmp_path)
    (cell,) = plan(load_suite(path))
    assert type(cell.algorithm).__name__ == "Mine"
    label, _, spec = entry.rpartition(" = ")
    named = f"{label or 'N'} = {folder}/{spec}"
    (again,) = plan(
        Suite(name="x", grids=(Grid(tasks=("bilinear",), algorithms=(named,)),))
    )
    assert again.key == cell.key


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = write(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())
    assert load_suite(path).name == "mine"


def test_an_absolute_path_is_not_changed(tmp_path: Path) -> None:
    file = write(tmp_path, EXTERNAL, "mine.py")
    (tmp_path / "deep").mkdir()
    path = write(
        tmp_path / "deep", f'[[grid]]\ntasks=["bilinear"]\nalgorithms=["{file}:Mine"]'
    )
    assert load_suite(path).grids[0].algorithms == (f"{file}:Mine",)


ONE = '[[grid]]\ntasks=["bilinear"]\nalgorithms=["gda"]\n'

ERRORS = {
    "unknown key": ('nmae = "x"\n' + ONE, "'nmae'. Did you mean 'name'?"),
    "unknown key of a grid": (ONE + "seed = 3", "'seed'. Did you mean 'seeds'?"),
    "no grid": ('name = "x"', "at least one table with the heading [[grid]]; got none"),
    "one table": ('[grid]\ntasks=["bilinear"]', "with the heading [[grid]]"),
    "grid of numbers": ("grid = [3]", "[[grid]] 1 must be a table; got 3"),
    "empty grids": ("grid = []", "at least one"),
    "no algorithms": ('[[grid]]\ntasks=["bilinear"]', "algorithms is missing"),
    "empty tasks": ('[[grid]]\ntasks=[]\nalgorithms=["gda"]', "must name at least one"),
    "text for a list": ('[[grid]]\ntasks="bilinear"\nalgorithms=["gda"]', "Grid.tasks"),
    "text for a number": (ONE + 'seeds = "many"', "Grid.seeds must be a whole number"),
    "fraction": (ONE + "steps = 1.5", "Grid.steps must be a whole number"),
    "steps and a budget": (ONE + "steps = 5\nbudget = 9", "steps or a budget, not"),
    "zero seeds": (ONE + "seeds = 0", "at least 1 and at most 1e+06; got 0"),
    "more than any float": (ONE + f"steps = {10**400}", "Grid.steps must be a whole"),
    "too many digits": (ONE + f"steps = {'9' * 5000}", "must be TOML; got Exceeds"),
    "wrong dtype": (ONE + 'dtype = "half"', "'float32' or 'float64'; got 'half'"),
    "name is no text": ("name = 3\n" + ONE, "Suite.name must be printable text; got 3"),
    "label without algorithm": (
        '[[grid]]\ntasks=["bilinear"]\nalgorithms=[{label="x"}]',
        "algorithm of an algorithm must be text; got None",
    ),
    "misspelt label": (
        '[[grid]]\ntasks=["bilinear"]\nalgorithms=[{lable="x", algorithm="gda"}]',
        "Did you mean 'label'?",
    ),
    "label in the algorithm": (
        '[[grid]]\ntasks=["bilinear"]\nalgorithms=[{label="x", algorithm="y = gda"}]',
        "must not hold ' = '",
    ),
    "label of a formula": (
        '[[grid]]\ntasks=["bilinear"]\nalgorithms=[{label="=1+1", algorithm="gda"}]',
        "A label must not begin with '='",
    ),
    "name of a formula": ('name = "@x"\n' + ONE, "Suite.name must not begin with '@'"),
    "no TOML": ('name = "x"\n[[grid]\n', "line 2"),
    "no UTF-8": (b'name = "\xff"', "UTF-8"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_sentence_that_names_the_file(
    tmp_path: Path, case: str
) -> None:
    content, expected = ERRORS[case]
    path = write(tmp_path, content)
    with pytest.raises(DescriptionError) as caught:
        load_suite(path)
    message = str(caught.value)
    assert expected in message
    assert str(path) in message
    assert "\n" not in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match="No such file"):
        load_suite(tmp_path / "none.toml")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match="Is a directory"):
        load_suite(tmp_path)


def test_the_record_of_a_tuned_suite_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no part of any key, but its cells are of the tuned track."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "suite.toml"
    file.write_text(TUNED, "utf-8")
    monkeypatch.chdir(tmp_path)
    suite = load_suite(Path("folder/suite.toml"))
    assert suite.tuned == "folder/tuning.parquet"
    file.write_text(GOOD, "utf-8")
    default = load_suite(Path("folder/suite.toml"))
    assert not default.tuned
    keys = [[cell.key for cell in plan(one)] for one in (suite, default)]
    assert keys[0] == keys[1]
    tracks = [{cell.track for cell in plan(one)} for one in (suite, default)]
    assert tracks == [{"tuned"}, {"default"}]

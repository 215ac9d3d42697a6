"""Serialised descriptions are read as equal ones, or refused in a sentence."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from spec_variants import ALGORITHM_VARIANTS, IMAGE_TASK_VARIANTS, TASK_VARIANTS
from warm_python import WarmPython

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS, SCHEDULES
from mmbench.algorithms.base import Algorithm
from mmbench.core.cost import Cost
from mmbench.core.description import canonical, digest, reference_of
from mmbench.core.errors import DescriptionError
from mmbench.core.external import load_external
from mmbench.core.serialization import from_canonical, from_json, to_json
from mmbench.engine.cell import Cell
from mmbench.metrics import METRICS
from mmbench.runner.plan import plan
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import LOSSES, REGULARISERS, TASKS

EXTERNAL = '''
from dataclasses import dataclass
from mmbench import Algorithm, Cost

@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    """Mine."""
    k: int = 1

    @property
    def cost(self):
        return Cost()

    def step(self, oracle, z, state):
        return z, state
'''


def assert_round_trip(description: Any) -> None:
    """Check that a description is equal after it was serialised and read."""
    again = from_json(to_json(description))
    assert again == description
    assert type(again) is type(description)
    assert digest(again) == digest(description)
    assert canonical(again, whole=True) == canonical(description, whole=True)


@pytest.mark.parametrize("spec", [*ALGORITHMS, *ALGORITHM_VARIANTS])
def test_algorithms(spec: str) -> None:
    """Every algorithm is read back, with options and nested directions."""
    assert_round_trip(ALGORITHMS.build(spec))


@pytest.mark.parametrize("spec", [*TASKS, *TASK_VARIANTS, *IMAGE_TASK_VARIANTS])
def test_tasks(spec: str) -> None:
    """Every task is read back, with options."""
    assert_round_trip(TASKS.build(spec))


@pytest.mark.parametrize(
    "family",
    [METRICS, DIRECTIONS, ACCEPTANCES, SCHEDULES, LOSSES, REGULARISERS],
    ids=str,
)
def test_other_families(family: Any) -> None:
    """Every metric and every part of other descriptions is read back."""
    for name in family:
        assert_round_trip(family.build(name))


@pytest.mark.parametrize("name", list(SUITES))
def test_cells_of_every_suite(name: str) -> None:
    """Cells keep the metrics and the label, which are no part of their keys."""
    for cell in plan(SUITES[name]):
        again = from_json(to_json(cell))
        assert (again, again.key, again.label) == (cell, cell.key, cell.label)


def chain() -> tuple[Cell, ...]:
    """Plan three cells, each of which starts at the end of the one before."""
    common = dict(tasks=("bilinear",), seeds=3, steps=4, records=2)
    grids = (
        Grid(algorithms=("A = gda",), **common),
        Grid(algorithms=("B = omd",), after="A", inherit="x", **common),
        Grid(algorithms=("C = cgd",), after="B", keep="all", **common),
    )
    return plan(Suite(name="chain", grids=grids))


def test_chains() -> None:
    """A cell is read back with all cells before it."""
    for cell in chain():
        assert_round_trip(cell)
    assert from_json(to_json(chain()[2])).after.after.label == "A"


def test_fields_left_out_take_their_defaults() -> None:
    """JSON without the fields that are no part of the identity can be read."""
    cell = chain()[0]
    bare = from_canonical(json.loads(json.dumps(canonical(cell.algorithm))), {})
    assert bare == cell.algorithm


# ---- external classes ----


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file with an algorithm."""
    file = tmp_path / "mine.py"
    file.write_text(EXTERNAL)
    return file


def test_an_external_class(mine: Path) -> None:
    """A class of a file is read back through the path of the file."""
    assert_round_trip(ALGORITHMS.build(f"{mine}:Mine[k=3]"))


def test_an_edited_source_is_refused(mine: Path, read_in_child: Callable) -> None:
    """A class is refused if a file that its module imports was edited."""
    helper = mine.with_name("helper_a.py")
    helper.write_text("x = 1")
    mine.write_text("import helper_a\n" + EXTERNAL)
    document = to_json(ALGORITHMS.build(f"{mine}:Mine"))
    from_json(document)
    helper.write_text("x = 2")
    message = read_in_child(document)
    assert "must be the one that was used, mine.py:Mine@" in message
    assert "Traceback" not in message


@pytest.fixture
def read_in_child(warm_python: WarmPython) -> Callable[..., str]:
    """Return the digest of what another process reads, or its error message."""
    code = (
        "import sys\n"
        "from mmbench.core.description import digest\n"
        "from mmbench.core.errors import MmbenchError\n"
        "from mmbench.core.serialization import from_json\n"
        "try:\n"
        "    print(digest(from_json(sys.argv[1])))\n"
        "except MmbenchError as error:\n"
        "    print(error)"
    )

    def read(document: str, folder: Path = Path("/")) -> str:
        return warm_python("-c", code, document, cwd=folder).stdout.strip()

    return read


def test_a_class_imported_from_the_same_folder(
    tmp_path: Path, read_in_child: Callable
) -> None:
    """A class is found whose module another process cannot import by name."""
    (tmp_path / "helper_b.py").write_text(EXTERNAL)
    (tmp_path / "face.py").write_text("from helper_b import Mine")
    algorithm = ALGORITHMS.build(f"{tmp_path / 'face.py'}:Mine[k=2]")
    assert read_in_child(to_json(algorithm)) == digest(algorithm)


def test_a_class_of_a_script(
    tmp_path: Path, read_in_child: Callable, warm_python: WarmPython
) -> None:
    """A class is found whose module is __main__ in the process that wrote it."""
    script = tmp_path / "script.py"
    script.write_text(
        EXTERNAL + "\nif __name__ == '__main__':\n"
        "    from mmbench.core.description import digest\n"
        "    from mmbench.core.serialization import to_json\n"
        "    print(digest(Mine()), to_json(Mine()))\n"
    )
    done = warm_python(script)
    key, _, document = done.stdout.partition(" ")
    assert read_in_child(document) == key


def test_a_class_of_a_package_is_imported_by_name(
    tmp_path: Path, read_in_child: Callable, warm_python: WarmPython
) -> None:
    """A module of a package is imported by name, as its relative imports need."""
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "__init__.py").write_text("")
    (tmp_path / "kit" / "base.py").write_text(EXTERNAL)
    (tmp_path / "kit" / "mine.py").write_text("from .base import Mine")
    writer = (
        "from mmbench.algorithms import ALGORITHMS\n"
        "from mmbench.core.description import digest\n"
        "from mmbench.core.serialization import to_json\n"
        "one = ALGORITHMS.build('kit.mine:Mine')\n"
        "print(digest(one), to_json(one))"
    )
    done = warm_python("-c", writer, cwd=tmp_path)
    key, _, document = done.stdout.partition(" ")
    assert read_in_child(document, tmp_path) == key


def test_a_local_class_is_refused(read_in_child: Callable) -> None:
    """A class within a function cannot be found by another process."""

    @dataclass(frozen=True, kw_only=True)
    class Local(Algorithm):
        @property
        def cost(self) -> Cost:
            return Cost()

        def step(self, oracle: Any, z: Any, state: Any) -> Any:
            return z, state

    assert "<locals>.Local' must name a class at the top" in read_in_child(
        to_json(Local())
    )


def test_two_modules_of_one_name_are_refused(tmp_path: Path) -> None:
    """Python keeps one module of each name, so the second would not be read."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper_c.py").write_text(f"x = {folder!r}")
        (tmp_path / folder / "mine.py").write_text("import helper_c\n" + EXTERNAL)
    load_external(f"{tmp_path / 'a' / 'mine.py'}:Mine")
    for _ in range(2):
        with pytest.raises(DescriptionError, match=r"both named helper_c\. Rename one"):
            reference_of(load_external(f"{tmp_path / 'b' / 'mine.py'}:Mine"))
    (tmp_path / "a" / "other.py").write_text("import helper_c\n" + EXTERNAL)
    reference_of(load_external(f"{tmp_path / 'a' / 'other.py'}:Mine"))


# ---- documents that are refused ----

GDA = canonical(ALGORITHMS.build("gda"), whole=True)


def with_class(name: str) -> dict[str, Any]:
    return {"class": name, "version": 1}


BAD = {
    "os:system": with_class("os:system"),
    "a module that prints": with_class("this:Zen"),
    "a function of mmbench": with_class("mmbench.core.serialization:to_json"),
    "a class that is no description": with_class("mmbench.core.oracle:Oracle"),
    "a name that mmbench imports": with_class("mmbench.core.description:Path"),
    "a module with a similar name": with_class("mmbench_evil:Mine"),
    "no module": with_class("mmbench.none:Mine"),
    "no class": with_class("mmbench.algorithms.gda:None"),
    "relative": with_class("mmbench..os:system"),
    "nul": with_class("mmbench.\0:x"),
    "empty": with_class(""),
    "another module of the class": with_class("mmbench.plan:Task"),
    "external without a location": with_class("mine.py:Mine@0123456789abcdef"),
    "class that is not text": {"class": ["os:system"], "version": 1},
    "no class at all": {"version": 1},
    "abstract": with_class("mmbench.algorithms.base:Algorithm"),
    "no version": {"class": GDA["class"]},
    "another version": GDA | {"version": 99},
    "unknown field": GDA | {"stepsize": 0.1},
    "wrong field": GDA | {"step_size": -1.0},
    "evil field": GDA | {"direction": with_class("os:system")},
    "evil field in a list": GDA | {"step_size": [with_class("os:system"), 1.0]},
    "missing fields": {"class": "mmbench.plan:Cell", "version": 1},
    "number too long": GDA | {"step_size": 10**400},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_descriptions_are_refused(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one sentence, and no external module is imported."""
    imported: list[str] = []
    real = __import__("importlib").import_module

    def watched(name: str, *rest: Any) -> Any:
        imported.append(name)
        return real(name, *rest)

    monkeypatch.setattr("importlib.import_module", watched)
    before = set(sys.modules)
    with pytest.raises(DescriptionError) as caught:
        from_canonical(json.loads(json.dumps(BAD[case])), {})
    assert len(str(caught.value).splitlines()) == 1
    assert all(name.partition(".")[0] == "mmbench" for name in imported)
    assert all("mmbench" in name for name in set(sys.modules) - before)


@pytest.mark.parametrize(
    "document",
    ["", "[]", "{}", "null", '{"value": 3}', "[1, 2", '{"locations": {}}', "\0"],
)
def test_other_documents_are_refused(document: str) -> None:
    """Text that `to_json` did not write is refused."""
    with pytest.raises(
        DescriptionError, match="must be JSON with a value and locations"
    ):
        from_json(document)


def test_a_location_with_another_class_is_refused(mine: Path) -> None:
    """The class at a location must be the one of the reference."""
    reference = reference_of(type(ALGORITHMS.build(f"{mine}:Mine")))
    with pytest.raises(DescriptionError, match="must name a description"):
        from_canonical({"class": reference, "version": 1}, {reference: f"{mine}:Cost"})

"""Descriptions that travel: the same on arrival, or refused in a sentence."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from spec_variants import ALGORITHM_VARIANTS, IMAGE_TASK_VARIANTS, TASK_VARIANTS

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS
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
from mmbench.tasks import TASKS

OUTSIDE = '''
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


def same(one: Any) -> None:
    """Sent and received, it is equal, with an equal digest."""
    again = from_json(to_json(one))
    assert again == one
    assert type(again) is type(one)
    assert digest(again) == digest(one)
    assert canonical(again, whole=True) == canonical(one, whole=True)


@pytest.mark.parametrize("words", [*ALGORITHMS, *ALGORITHM_VARIANTS])
def test_algorithms_travel(words: str) -> None:
    """Every one, with options and directions within."""
    same(ALGORITHMS.build(words))


@pytest.mark.parametrize("words", [*TASKS, *TASK_VARIANTS, *IMAGE_TASK_VARIANTS])
def test_tasks_travel(words: str) -> None:
    """Every one, with options."""
    same(TASKS.build(words))


@pytest.mark.parametrize("family", [METRICS, DIRECTIONS, ACCEPTANCES], ids=str)
def test_the_rest_travels(family: Any) -> None:
    """Every metric, direction and acceptance law, as it is by default."""
    for name in family:
        same(family.build(name))


@pytest.mark.parametrize("name", list(SUITES))
def test_cells_of_every_suite_travel(name: str) -> None:
    """With metrics, label and what they start after, which keys do not have."""
    for cell in plan(SUITES[name]):
        again = from_json(to_json(cell))
        assert (again, again.key, again.label) == (cell, cell.key, cell.label)


def chain() -> tuple[Cell, ...]:
    """Three cells, each of which starts after the one before."""
    common = dict(tasks=("bilinear",), seeds=3, steps=4, records=2)
    grids = (
        Grid(algorithms=("A = gda",), **common),
        Grid(algorithms=("B = omd",), after="A", inherit="x", **common),
        Grid(algorithms=("C = cgd",), after="B", keep="all", **common),
    )
    return plan(Suite(name="chain", grids=grids))


def test_chains_travel() -> None:
    """A cell brings all that came before it."""
    for cell in chain():
        same(cell)
    assert from_json(to_json(chain()[2])).after.after.label == "A"


def test_fields_left_out_take_their_defaults() -> None:
    """As the identity of a description leaves them out."""
    cell = chain()[0]
    bare = from_canonical(json.loads(json.dumps(canonical(cell.algorithm))), {})
    assert bare == cell.algorithm


# ---- classes from outside ----


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file with an algorithm."""
    file = tmp_path / "mine.py"
    file.write_text(OUTSIDE)
    return file


def test_an_outside_class_travels(mine: Path) -> None:
    """By the place of its file."""
    same(ALGORITHMS.build(f"{mine}:Mine[k=3]"))


def test_an_edited_source_is_refused(mine: Path) -> None:
    """Also one that is edited beside."""
    helper = mine.with_name("beside_a.py")
    helper.write_text("x = 1")
    mine.write_text("import beside_a\n" + OUTSIDE)
    document = to_json(ALGORITHMS.build(f"{mine}:Mine"))
    from_json(document)
    helper.write_text("x = 2")
    told = child(document)
    assert "must be the one that was used, mine.py:Mine@" in told
    assert "Traceback" not in told


def child(document: str, folder: Path = Path("/")) -> str:
    """The key of what another process receives, or what it says instead."""
    code = (
        "import sys\n"
        "from mmbench.core.description import digest\n"
        "from mmbench.core.errors import MmbenchError\n"
        "from mmbench.core.serialization import from_json as received\n"
        "try:\n"
        "    print(digest(received(sys.argv[1])))\n"
        "except MmbenchError as error:\n"
        "    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, document],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return done.stdout.strip()


def test_a_class_imported_from_beside_travels(tmp_path: Path) -> None:
    """Though no other process can import its module by name."""
    (tmp_path / "beside_b.py").write_text(OUTSIDE)
    (tmp_path / "face.py").write_text("from beside_b import Mine")
    one = ALGORITHMS.build(f"{tmp_path / 'face.py'}:Mine[k=2]")
    assert child(to_json(one)) == digest(one)


def test_a_script_s_own_class_travels(tmp_path: Path) -> None:
    """Its module is named __main__ there, and nowhere else."""
    script = tmp_path / "script.py"
    script.write_text(
        OUTSIDE + "\nif __name__ == '__main__':\n"
        "    from mmbench.core.description import digest\n"
        "    from mmbench.core.serialization import to_json as sent\n"
        "    print(digest(Mine()), sent(Mine()))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True
    )
    key, _, document = done.stdout.partition(" ")
    assert child(document) == key


def test_a_class_of_a_package_travels_by_name(tmp_path: Path) -> None:
    """Its relative imports need the package."""
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "__init__.py").write_text("")
    (tmp_path / "kit" / "base.py").write_text(OUTSIDE)
    (tmp_path / "kit" / "mine.py").write_text("from .base import Mine")
    sender = (
        "from mmbench.algorithms import ALGORITHMS\n"
        "from mmbench.core.description import digest\n"
        "from mmbench.core.serialization import to_json as sent\n"
        "one = ALGORITHMS.build('kit.mine:Mine')\n"
        "print(digest(one), sent(one))"
    )
    done = subprocess.run(
        [sys.executable, "-c", sender],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    key, _, document = done.stdout.partition(" ")
    assert child(document, tmp_path) == key


def test_a_local_class_does_not_travel() -> None:
    """Nobody else could find it."""

    @dataclass(frozen=True, kw_only=True)
    class Local(Algorithm):
        @property
        def cost(self) -> Cost:
            return Cost()

        def step(self, oracle: Any, z: Any, state: Any) -> Any:
            return z, state

    assert "<locals>.Local' must name a Python file" in child(to_json(Local()))


def test_two_modules_of_one_name_are_refused(tmp_path: Path) -> None:
    """Python keeps one of each name: the second file would run with the first's."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_c.py").write_text(f"x = {folder!r}")
        (tmp_path / folder / "mine.py").write_text("import beside_c\n" + OUTSIDE)
    load_external(f"{tmp_path / 'a' / 'mine.py'}:Mine")
    for _ in range(2):
        with pytest.raises(DescriptionError, match=r"both named beside_c\. Rename one"):
            load_external(f"{tmp_path / 'b' / 'mine.py'}:Mine")
    (tmp_path / "a" / "other.py").write_text("import beside_c\n" + OUTSIDE)
    load_external(f"{tmp_path / 'a' / 'other.py'}:Mine")


# ---- what must not be made ----

GDA = canonical(ALGORITHMS.build("gda"), whole=True)


def with_class(name: str) -> dict[str, Any]:
    return {"class": name, "version": 1}


BAD = {
    "os:system": with_class("os:system"),
    "a module that would speak": with_class("this:Zen"),
    "a function of mmbench": with_class("mmbench.core.transport:rebuilt"),
    "a class that is no description": with_class("mmbench.core.oracle:Oracle"),
    "what mmbench imports": with_class("mmbench.core.description:Path"),
    "a module that looks like it": with_class("mmbench_evil:Mine"),
    "no module": with_class("mmbench.none:Mine"),
    "no class": with_class("mmbench.algorithms.gda:None"),
    "relative": with_class("mmbench..os:system"),
    "nul": with_class("mmbench.\0:x"),
    "empty": with_class(""),
    "another place of the class": with_class("mmbench.plan:Task"),
    "outside without a place": with_class("mine.py:Mine@0123456789abcdef"),
    "no text as class": {"class": ["os:system"], "version": 1},
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
    """In a sentence, and nothing outside mmbench is imported."""
    asked: list[str] = []
    real = __import__("importlib").import_module

    def watched(name: str, *rest: Any) -> Any:
        asked.append(name)
        return real(name, *rest)

    monkeypatch.setattr("importlib.import_module", watched)
    before = set(sys.modules)
    with pytest.raises(DescriptionError) as told:
        from_canonical(json.loads(json.dumps(BAD[case])), {})
    assert len(str(told.value).splitlines()) == 1
    assert all(name.partition(".")[0] == "mmbench" for name in asked)
    assert {one for one in set(sys.modules) - before if "mmbench" not in one} == set()


@pytest.mark.parametrize(
    "document",
    ["", "[]", "{}", "null", '{"value": 3}', "[1, 2", '{"places": {}}', "\0"],
)
def test_what_is_no_document_is_refused(document: str) -> None:
    """Whatever it is."""
    with pytest.raises(
        DescriptionError, match="must be JSON with a value and locations"
    ):
        from_json(document)


def test_a_place_with_another_class_is_refused(mine: Path) -> None:
    """The reference says which class it was."""
    reference = reference_of(type(ALGORITHMS.build(f"{mine}:Mine")))
    other: Callable[[], Any] = lambda: from_canonical(
        {"class": reference, "version": 1}, {reference: f"{mine}:Cost"}
    )
    with pytest.raises(DescriptionError, match="must name a description"):
        other()

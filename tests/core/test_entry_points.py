"""Installed packages register tasks, algorithms and metrics by entry points."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mmbench.algorithms import ALGORITHMS
from mmbench.cli import main
from mmbench.core.description import reference_of
from mmbench.core.entry_points import find_registrations
from mmbench.core.errors import DescriptionError, UnknownNameError
from mmbench.metrics import METRICS

METHOD = '''
from dataclasses import dataclass

import mmbench


@dataclass(frozen=True, kw_only=True)
class LabGDA(mmbench.Algorithm):
    """GDA of the lab."""

    step_size: float = 0.1
    cost = mmbench.Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        return z - self.step_size * oracle.field(z), state


@dataclass(frozen=True, kw_only=True)
class Fails(LabGDA):
    """Always raises."""

    @property
    def needs(self):
        raise RuntimeError("no needs")
'''
ENTRIES = """
[mmbench.algorithms]
lab_gda = mmbench_test_lab.methods:LabGDA
fails = mmbench_test_lab.methods:Fails
gda = mmbench_test_lab.methods:LabGDA
broken = mmbench_test_lab.broken:Broken
absent = mmbench_test_lab.methods:Absent
odd = mmbench_test_lab.methods

[mmbench.metrics]
misplaced = mmbench_test_lab.methods:LabGDA
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs the metadata of a package, and its modules."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, entries: str, **modules: str) -> None:
        site = tmp_path / name
        info, package = site / f"{name}-1.0.dist-info", site / "mmbench_test_lab"
        info.mkdir(parents=True)
        package.mkdir()
        texts = {"__init__": "", **modules}
        for module, text in texts.items():
            (package / f"{module}.py").write_text(text)
        paths = [f"mmbench_test_lab/{module}.py,," for module in texts]
        (info / "RECORD").write_text("\n".join(paths))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(entries)
        monkeypatch.syspath_prepend(site)

    yield write
    for module in [one for one in sys.modules if one.startswith("mmbench_test_lab")]:
        del sys.modules[module]


@pytest.fixture
def lab(install: Install) -> None:
    """Install a package of which some registrations can be used."""
    broken = "raise RuntimeError('out of order')"
    install("lab", ENTRIES, methods=METHOD, broken=broken)


def mmbench(line: str) -> Result:
    """Run a command line and return its result."""
    result = CliRunner().invoke(main, line.split())
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def is_imported() -> bool:
    """Return whether a module of the package is imported."""
    return any(name.startswith("mmbench_test_lab") for name in sys.modules)


@pytest.mark.usefixtures("lab")
def test_listing_shows_the_package_and_imports_nothing() -> None:
    """External names come last; what cannot be used is a warning."""
    result = mmbench("list algorithms")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert " ".join(lines[-4].split()) == "lab_gda GDA of the lab. (external, lab 1.0)"
    assert lines[-2].split() == ["broken", "(external,", "lab", "1.0)"]
    assert "Warning: lab 1.0 must register 'gda' under another name" in result.stderr
    assert "Warning: lab 1.0 must register a word as module:Class" in result.stderr
    entry = json.loads(mmbench("list algorithms --json").stdout)["algorithms"][-4]
    assert entry == {
        "name": "lab_gda",
        "summary": "GDA of the lab.",
        "package": "lab 1.0",
    }
    assert not is_imported()
    assert "lab_gda" not in ALGORITHMS  # loops over all methods leave it out


@pytest.mark.usefixtures("lab")
def test_registered_names_are_used_as_any_other() -> None:
    """They run, also as the value of a field, and their keys hold a digest of code."""
    assert "external" not in mmbench("show gda").stdout
    shown = mmbench("show lab_gda").stdout
    assert "lab_gda - algorithm\nGDA of the lab." in shown
    assert "methods.py:LabGDA@" in shown
    grid = "-t bilinear -a lab_gda[step_size=0.2] -a lookahead[base=lab_gda]"
    result = mmbench(f"run {grid} --seeds 2 --steps 3 --records 1")
    assert result.exit_code == 0, result.output
    assert len(list(Path("mmbench-results").glob("*.parquet"))) == 2
    assert "@" in reference_of(ALGORITHMS.resolve("lab_gda"))
    assert ALGORITHMS.resolve("gda").__module__ == "mmbench.algorithms.gda"


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "'broken', which lab 1.0 registers, must be usable.*out of order"),
        ("absent", "which lab 1.0 registers, must be usable; Unknown class"),
        ("odd", "must register a word as module:Class; got 'odd'"),
        ("lab_gdaa", "Did you mean 'lab_gda'"),
    ],
)
def test_what_cannot_be_used_says_whose_it_is(name: str, message: str) -> None:
    """A name that does not work has a sentence, and the others go on working."""
    with pytest.raises(DescriptionError, match=message):
        ALGORITHMS.build(name)
    assert str(ALGORITHMS.build("lab_gda")) == "LabGDA"


@pytest.mark.usefixtures("lab")
def test_names_are_of_their_family_and_never_from_stored_files() -> None:
    """A class of another family is refused; what is stored loads no package."""
    with pytest.raises(DescriptionError, match="must be a subclass of mmbench's Metr"):
        METRICS.build("misplaced")
    with pytest.raises(UnknownNameError):
        ALGORITHMS.build("misplaced")
    with pytest.raises(UnknownNameError):
        ALGORITHMS.build("lab_gda", external=False)


@pytest.mark.usefixtures("lab")
def test_exceptions_of_a_package_are_one_sentence() -> None:
    """As for classes of a file, with the line of the package that raised."""
    result = mmbench("run -t bilinear -a fails --seeds 2 --steps 3")
    assert result.exit_code == 2
    assert "fails must be usable; methods.py, line 24, raised" in result.output


def test_a_name_is_of_one_package(install: Install) -> None:
    """Of two packages with one name neither is used; an older copy does not count."""
    entries = "[mmbench.algorithms]\nlab_gda = mmbench_test_lab.methods:LabGDA\n"
    install("lab", entries, methods=METHOD)
    install("other", entries.replace("lab_gda", "other_gda") + entries.split("\n")[1])
    with pytest.raises(DescriptionError, match="by one package; lab 1.0 and other 1.0"):
        ALGORITHMS.build("lab_gda")


def test_unreadable_metadata_are_named(install: Install) -> None:
    """They leave the names of other packages in use."""
    install("lab", "[mmbench.algorithms]\nlab_gda = lab:LabGDA\n")
    install("odd", "[mmbench.algorithms]\nno equals sign\n")
    members, problems = find_registrations("mmbench.algorithms", ())
    assert set(members) == {"lab_gda"}
    assert "The entry points of odd 1.0 must be lines" in problems["odd 1.0"]

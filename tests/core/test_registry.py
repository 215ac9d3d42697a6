"""Registries: names, specs, suggestions for unknown names, and external classes."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.algorithms import ALGORITHMS, DIRECTIONS
from mmbench.algorithms._directions import Adam
from mmbench.algorithms.gda import GDA
from mmbench.core.description import digest, reference_of, text
from mmbench.core.errors import DescriptionError, MmbenchError, UnknownNameError
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS

MINE = '''
"""Somebody's algorithm."""
import typing
from dataclasses import dataclass
import mmbench
from mmbench.algorithms import Direction


@dataclass(frozen=True, kw_only=True)
class Mine(mmbench.Algorithm):
    """Half a step of GDA.

    Args:
        k: a number.
    """

    k: int = 2
    source = mmbench.Source(authors="Somebody", year=2026, title="Mine")

    @property
    def cost(self):
        return mmbench.Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        return z - 0.1 / self.k * oracle.field(z), state


@dataclass(frozen=True, kw_only=True)
class Half(mmbench.Algorithm):
    """Not finished."""


class Bare(Mine):
    """Not decorated."""

    other: int = 3


def function():
    """Not a class."""


@dataclass(frozen=True, kw_only=True)
class Typed(Mine):
    """Fields of many types."""

    mode: str = "a"
    number: float | str = 0.0
    maybe: str | None = None
    modes: tuple[str, ...] = ()
    pick: typing.Literal["none", "1", 2] = 2
    direction: Direction | None = None
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file with classes of a user."""
    path = tmp_path / "mine.py"
    path.write_text(MINE, "utf-8")
    return path


@pytest.mark.parametrize(
    "spec",
    [
        "",
        " ",
        "[]",
        "gda[",
        "gda[k",
        "gda[k=",
        "gda[k=]",
        "gda[k=3",
        "gda[k=3]]",
        "gda]",
        "gda[=3]",
        "gda[k=(1,2]",
        "gda[k=(1",
        "gda[k=3 l=4]",
        "gda[k=1,k=2]",
        "gda[,]",
        "gda[k==3]",
        "gda(k=3)",
        "gda[k=3]x",
        "gda[k=1;l=2]=",
        ",",
    ],
)
def test_bad_specs_are_refused(spec: str) -> None:
    """The error is one sentence."""
    with pytest.raises(DescriptionError) as caught:
        ALGORITHMS.build(spec)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="gdacg[]=(),.:0123456789 step_size-ek", max_size=30))
@settings(max_examples=400, deadline=None)
def test_any_text_is_built_or_refused(spec: str) -> None:
    """No text raises anything but an error of mmbench."""
    try:
        built = ALGORITHMS.build(spec)
    except MmbenchError:
        return
    assert ALGORITHMS.build(text(built)) == built


@pytest.mark.parametrize(
    ("registry", "spec", "sentence"),
    [
        (ALGORITHMS, "gdaa", "Unknown algorithm 'gdaa'. Did you mean 'gda'?"),
        (ALGORITHMS, "extragradeint", "Did you mean 'extragradient'?"),
        (TASKS, "bilinaer", "Unknown task 'bilinaer'. Did you mean 'bilinear'?"),
        (METRICS, "mode_covrage", "Did you mean 'mode_coverage'?"),
        (
            ALGORITHMS,
            "cgd[stepsize=1]",
            "Unknown parameter of cgd 'stepsize'. Did you mean 'step_size'?",
        ),
        (
            ALGORITHMS,
            "gda[direction=adm]",
            "Unknown direction 'adm'. Did you mean 'adam'?",
        ),
        (ALGORITHMS, "gda[direction=adam[beta=1]]", "Did you mean 'beta"),
        (ALGORITHMS, "accept_reject[acceptance=evry]", "Did you mean 'every'?"),
        (ALGORITHMS, "zzzzzz", "Known: gda, alternating_gda"),
        (ALGORITHMS, "gda[step_size=adam]", "GDA.step_size must be a number"),
        (ALGORITHMS, "gda[step_size=adam[beta1=0]]", "stands where none is expected"),
        (ALGORITHMS, "gda[step_size=-1]", "must be a number above 0"),
        (ALGORITHMS, "cgd[solve=z]", "must be 'x' or 'y'; got 'z'."),
        (TASKS, "bilinear[dim=0]", "must be a whole number at least 1; got 0."),
        (TASKS, "bilinear[dim=2.5]", "got 2.5."),
    ],
)
def test_errors_suggest_the_nearest_name(registry, spec: str, sentence: str) -> None:
    """A misspelt name, parameter or nested name brings the nearest known one."""
    with pytest.raises(DescriptionError) as caught:
        registry.build(spec)
    assert sentence in str(caught.value)


def test_mapping() -> None:
    """A registry is a mapping in the order of reports; unknown names raise KeyError."""
    assert next(iter(ALGORITHMS)) == "gda"
    assert ALGORITHMS["gda"] is GDA
    assert len(ALGORITHMS) == len(list(ALGORITHMS))
    assert "gdaa" not in ALGORITHMS
    with pytest.raises(KeyError):
        ALGORITHMS["gdaa"]


def test_summaries_are_read_without_importing() -> None:
    """Summaries are the first lines of the docstrings in the sources."""
    for registry in (ALGORITHMS, TASKS, METRICS, DIRECTIONS):
        for name, cls in registry.items():
            assert registry.summary(name) == (cls.__doc__ or "").partition("\n")[0]


def test_coerce_takes_specs_and_members() -> None:
    """A member is given as a spec or as an object; other objects are refused."""
    assert ALGORITHMS.coerce("gda") == ALGORITHMS.coerce(GDA()) == GDA()
    with pytest.raises(DescriptionError, match="must be a task"):
        TASKS.coerce(GDA())


# ---- external classes ----


def test_external_class(mine: Path) -> None:
    """A class of a file is built by its name; its reference has a source digest."""
    built = ALGORITHMS.build(f"{mine}:Mine[k=3]")
    assert built.k == 3
    assert text(built) == "Mine[k=3]"
    assert reference_of(type(built)).startswith("mine.py:Mine@")


def test_digest_does_not_depend_on_the_folder(mine: Path, tmp_path: Path) -> None:
    """A copy in another folder has the same digest; edited code has another."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.py").write_text(MINE, "utf-8")
    original, copy = (
        ALGORITHMS.build(f"{folder}/mine.py:Mine") for folder in (tmp_path, other)
    )
    assert digest(original) == digest(copy)
    mine.write_text(MINE.replace("0.1", "0.2"), "utf-8")
    assert digest(ALGORITHMS.build(f"{mine}:Mine")) != digest(original)


def test_external_class_by_module(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of an importable module is found by its import path."""
    monkeypatch.syspath_prepend(str(mine.parent))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert ALGORITHMS.build("mine:Mine[k=4]").k == 4
    monkeypatch.delitem(sys.modules, "mine", raising=False)


def test_built_in_class_of_another_file_keeps_its_key(tmp_path: Path) -> None:
    """A file that imports GDA changes neither its name nor its key."""
    before = digest(GDA())
    path = tmp_path / "borrowed.py"
    path.write_text("from mmbench.algorithms.gda import GDA\n", "utf-8")
    ALGORITHMS.build(f"{path}:GDA")
    assert digest(GDA()) == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Mien", "Did you mean 'Mine'?"),
        ("Half", "must define cost, step."),
        ("Bare", "must be decorated with @dataclass"),
        ("function", "must be a subclass of mmbench's Algorithm"),
        ("Mine[l=3]", "Unknown parameter of"),
    ],
)
def test_unsuitable_external_classes(mine: Path, name: str, sentence: str) -> None:
    """Each mistake in an external class is named in one sentence."""
    with pytest.raises(DescriptionError) as caught:
        ALGORITHMS.build(f"{mine}:{name}")
    assert sentence in str(caught.value)


def test_external_files_that_fail(tmp_path: Path) -> None:
    """A missing file or module, and a file that cannot be run, are refused."""
    with pytest.raises(UnknownNameError, match="must name a Python file"):
        ALGORITHMS.build(f"{tmp_path}/none.py:Mine")
    with pytest.raises(UnknownNameError, match="must name a Python file"):
        ALGORITHMS.build("no_such_package.module:Mine")
    for content in ("raise RuntimeError('no')", "this is not python"):
        path = tmp_path / "bad.py"
        path.write_text(content, "utf-8")
        with pytest.raises(DescriptionError, match="must be importable; .*raised"):
            ALGORITHMS.build(f"{path}:Mine")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("mode", word) for word in ("none", "true", "inf", "007", "1e5", "-1")),
        ("mode", 'a "b", [c]=(d)'),
        ("mode", ""),
        ("mode", "adam"),
        ("number", 1e5),
        ("number", "fast"),
        ("maybe", None),
        ("maybe", "3"),
        ("modes", ("none", "1", "x")),
        ("pick", "none"),
        ("pick", "1"),
        ("direction", None),
        ("direction", Adam(beta1=0.25)),
    ],
)
def test_words_are_read_as_their_field_says(
    mine: Path, field: str, value: object
) -> None:
    """A word that reads as a constant is text where text is expected."""
    cls = ALGORITHMS.resolve(f"{mine}:Typed")
    spec = text(cls(**{field: value}))
    built = ALGORITHMS.build(spec.replace("Typed", f"{mine}:Typed", 1))
    assert getattr(built, field) == value
    assert type(getattr(built, field)) is type(value)


def test_a_field_that_cannot_be_stored_is_refused_before_the_class_is_used(
    mine: Path,
) -> None:
    """One sentence names class, field and annotation; `show` says the same."""
    content = MINE.replace("k: int = 2", "k: int = 2\n    table: dict[str, float] = 0")
    mine.write_text(content, "utf-8")
    with pytest.raises(
        DescriptionError, match=r"^Mine\.table must .* dict\[str, float"
    ):
        ALGORITHMS.build(f"{mine}:Mine")

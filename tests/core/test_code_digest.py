"""The digest of external code: the key of a class is that of what runs."""

import builtins
import cmath
import dataclasses
import enum
import functools
import importlib
import linecache
import math
import os
import random
import subprocess
import sys
import threading
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import pytest
import scipy
import torch

from mmbench.algorithms.extragradient import Extragradient
from mmbench.algorithms.gda import GDA
from mmbench.core.code_digest import code_digest
from mmbench.core.code_files import is_external_class
from mmbench.core.description import canonical, reference_of
from mmbench.core.errors import CodeError
from mmbench.core.external import load_external

HEAD = """
from dataclasses import dataclass
from mmbench import Algorithm, Cost

class Base(Algorithm):
    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

"""
MINE = """
@dataclass(frozen=True, kw_only=True)
class Mine(Base):
    k: float = 1.0

    def step(self, oracle, z, state):
        return z - {step} * oracle.field(z), state
"""


@pytest.fixture(autouse=True)
def fresh_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules and the path entries of a test."""
    before = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def write(folder: Path, step: str = "0.1", *, head: str = "", tail: str = "") -> str:
    """Write a class to `mine.py`, and return its reference."""
    folder.mkdir(exist_ok=True)
    text = head + HEAD + MINE.format(step=step) + tail
    (folder / "mine.py").write_text(text)
    return f"{folder / 'mine.py'}:Mine"


def digest(reference: str) -> str:
    """Load a class and return its digest."""
    return code_digest(load_external(reference)).digest


# ---- edits that change what runs ----

EDITS = {
    "an imported module": ("import helper", "helper.S", {"helper.py": "S = {}"}),
    "a name of a module": ("from helper import S", "S", {"helper.py": "S = {}"}),
    "an import by a computed name": (
        "import importlib\nhelper = importlib.import_module('hel' + 'per')",
        "helper.S",
        {"helper.py": "S = {}"},
    ),
    "an import by a computed name, not kept": (
        "import importlib\nS = importlib.import_module('hel' + 'per').f",
        "S()",
        {"helper.py": "def f():\n    return {}"},
    ),
    "a folder on the path": (
        "import os, sys\nsys.path.insert(0, os.path.dirname(__file__) + '/lib')\n"
        "from helper import S",
        "S",
        {"lib/helper.py": "S = {}"},
    ),
    "code that is executed": (
        "import pathlib\n"
        "exec((pathlib.Path(__file__).parent / 'code.txt').read_text())",
        "f()",
        {"code.txt": "def f():\n    return {}"},
    ),
    "a file that is read at the start": (
        "import json, pathlib\n"
        "S = json.loads((pathlib.Path(__file__).parent / 's.json').read_text())",
        "S['k']",
        {"s.json": '{{"k": {}}}'},
    ),
    "a module of a package": (
        "from kit.sub import one",
        "one.S",
        {"kit/__init__.py": "", "kit/sub/__init__.py": "", "kit/sub/one.py": "S = {}"},
    ),
    "a package without __init__.py": (
        "from kit.one import S",
        "S",
        {"kit/one.py": "S = {}"},
    ),
    "the init file of a package": (
        "from kit import one",
        "one.f()",
        {
            "kit/__init__.py": "S = {}",
            "kit/one.py": "import kit\ndef f(): return kit.S",
        },
    ),
    "an import in a step": (
        "",
        "__import__('math').pi * S()",
        {"helper.py": "S = {}"},
    ),
    "a linked helper that imports beside its target": (
        "import os, sys\n"
        "sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)) + '/far')\n"
        "import helper",
        "helper.deep.S",
        {"far/helper.py": "import deep", "far/deep.py": "S = {}"},
    ),
    "a decorator": (
        "from helper import scaled",
        "0.1",
        {
            "helper.py": "def scaled(f):\n    def g(self, o, z, s):\n"
            "        return f(self, o, {} * z, s)\n    return g"
        },
    ),
    "a tensor": (
        "import numpy, os\nS = numpy.loadtxt(os.path.dirname(__file__) + '/s.txt')",
        "S",
        {"s.txt": "{}"},
    ),
    "an instance": (
        "from helper import Scale\nscale = Scale()",
        "scale.value",
        {"helper.py": "class Scale:\n    def __init__(self):\n        self.value = {}"},
    ),
    "a default of a field that a function makes": (
        "from helper import Scale",
        "Scale().value",
        {
            "helper.py": "import dataclasses, pathlib\n"
            "S = float((pathlib.Path(__file__).parent / 's.txt').read_text())\n"
            "@dataclasses.dataclass\nclass Scale:\n"
            "    value: float = dataclasses.field(default_factory=lambda: S)",
            "s.txt": "{}",
        },
    ),
    "a module that is another object": (
        "import helper",
        "helper.value()",
        {
            "helper.py": "import sys\nclass Other:\n"
            "    def value(self): return {}\nsys.modules[__name__] = Other()"
        },
    ),
    "a data file that the class names": (
        "",
        "0.1",
        {"numbers.txt": "{}"},
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_of_what_runs_changes_the_digest(case: str, tmp_path: Path) -> None:
    """A fresh load of edited code has another digest, and of equal code the same."""
    head, step, files = EDITS[case]
    tail = ""
    if case == "an import in a step":
        step, tail = "S()", "\ndef S():\n    from helper import S\n    return S\n"
    if case == "a data file that the class names":
        tail = "\n    data_files = ('numbers.txt',)\n"
    if case == "a decorator":
        tail = "\nMine.step = scaled(Mine.step)\n"
    found = []
    for folder, value in (("a", "0.25"), ("b", "0.25"), ("c", "0.75")):
        before = dict(sys.modules), list(sys.path)
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(value))
        reference = write(tmp_path / folder, step, head=head + "\n", tail=tail)
        found.append(digest(reference))
        for name in set(sys.modules) - set(before[0]):
            del sys.modules[name]
        sys.path[:] = before[1]
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize(
    ("old", "new"),
    [("class Mine", '# comment\n"""Doc."""\nclass Mine'), ("\n", "\r\n")],
)
def test_comments_and_line_ends_do_not_count(
    old: str, new: str, tmp_path: Path
) -> None:
    """An edit of comments and line ends keeps what is stored."""
    reference = write(tmp_path)
    before, path = digest(reference), tmp_path / "mine.py"
    text = path.read_text().replace("@dataclass", "#\n@dataclass").replace(old, new)
    path.write_bytes(text.replace('"""Doc."""\n', "").encode())
    assert digest(reference) == before


# ---- what was loaded, and what lies on disk ----


def test_stale_bytecode_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of one size and one time are read anew, be there a `__pycache__` or not."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "helper.py").write_text("S = 0.0")
    for step in ("0.1", "0.2", "0.3"):
        reference = write(tmp_path, f"{step} * helper.S", head="import helper\n")
        (tmp_path / "helper.py").write_text(f"S = {step}")
        for name in ("mine.py", "helper.py"):
            os.utime(tmp_path / name, (10**9, 10**9))
        oracle = SimpleNamespace(field=lambda z: z)
        z, _ = load_external(reference)().step(oracle, 1.0, ())
        assert z == 1 - float(step) ** 2


def import_mine(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a module, import it as Python does, and return it."""
    (folder / "mine_x.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return importlib.import_module("mine_x")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return z - 0.1", "return z - 0.2"),
        ("SCALE = 1.0", "SCALE = 2.0"),
        ("return HELP", "return 3 * HELP"),
    ],
)
def test_code_that_differs_from_its_file_is_refused(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that was edited after its import is not the code in its file."""
    head = "HELP = 1.0\nSCALE = 1.0\ndef helped():\n    return HELP\n"
    text = head + HEAD + MINE.format(step="0.1 * helped()")
    module = import_mine(tmp_path, text, monkeypatch)
    first = code_digest(module.Mine)
    (tmp_path / "mine_x.py").write_text("# a comment\n" + text)
    assert code_digest(module.Mine) == first
    (tmp_path / "mine_x.py").write_text(text.replace(old, new))
    with pytest.raises(CodeError, match=r"mine_x\.py must be as it was"):
        code_digest(module.Mine)


def test_reloaded_code_is_the_code_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload makes the classes of the edited file known."""
    module = import_mine(tmp_path, HEAD + MINE.format(step="0.1"), monkeypatch)
    first = code_digest(module.Mine).digest
    (tmp_path / "mine_x.py").write_text(HEAD + MINE.format(step="0.25"))
    importlib.reload(module)
    assert code_digest(module.Mine).digest != first


def test_both_ways_to_name_a_class_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that was imported has the digest of the one loaded from its file."""
    module = import_mine(tmp_path, HEAD + MINE.format(step="0.1"), monkeypatch)
    other = load_external(f"{tmp_path / 'mine_x.py'}:Mine")
    assert other is not module.Mine
    assert code_digest(other).digest == code_digest(module.Mine).digest


def test_an_edited_helper_is_loaded_anew(tmp_path: Path) -> None:
    """A file whose helper was edited is loaded again, in the same process."""
    (tmp_path / "helper_e.py").write_text("S = 1.0")
    reference = write(tmp_path, "helper_e.S", head="import helper_e\n")
    first = digest(reference)
    assert digest(reference) == first
    (tmp_path / "helper_e.py").write_text("S = 2.0")
    assert digest(reference) != first
    z, _ = load_external(reference)().step(SimpleNamespace(field=lambda z: z), 1.0, ())
    assert z == -1.0


def test_imports_in_a_step_are_resolved_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of the working directory does not take the place of the one beside."""
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd" / "lazy_s.py").write_text("S = 5.0")
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.syspath_prepend("")
    tail = "\ndef lazy():\n    from lazy_s import S\n    return S\n"
    reference = write(tmp_path / "a", "lazy()", tail=tail)
    (tmp_path / "a" / "lazy_s.py").write_text("S = 2.0")
    cls = load_external(reference)
    before = code_digest(cls)
    z, _ = cls().step(SimpleNamespace(field=lambda z: z), 1.0, ())
    assert z == -1.0
    assert code_digest(cls) == before


def test_a_helper_of_a_helper_is_loaded_anew(tmp_path: Path) -> None:
    """An edited file is loaded again, and all that imported it."""
    (tmp_path / "first_t.py").write_text("from second_t import f\n")
    (tmp_path / "second_t.py").write_text("def f():\n    return 1.0\n")
    reference = write(tmp_path, "f()", head="from first_t import f\n")
    first = digest(reference)
    (tmp_path / "second_t.py").write_text("def f():\n    return 2.0\n")
    assert digest(reference) != first
    z, _ = load_external(reference)().step(SimpleNamespace(field=lambda z: z), 1.0, ())
    assert z == -1.0


def test_a_helper_imported_in_a_step_and_edited_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has loaded it before, so that the step would run the older code."""
    (tmp_path / "helper_o.py").write_text("def f():\n    return 1.0\n")
    text = HEAD + MINE.format(step="__import__('helper_o').f()").replace(
        "        return z", "        import helper_o\n        return z"
    )
    module = import_mine(tmp_path, text, monkeypatch)
    importlib.import_module("helper_o")
    code_digest(module.Mine)
    (tmp_path / "helper_o.py").write_text("def f():\n    return 2.0\n")
    with pytest.raises(CodeError, match=r"helper_o\.py must be as it was"):
        code_digest(module.Mine)


IN_MODULES = {
    "a list": ("S = [0.1]", "S[0]"),
    "an expression": ("S = 1 * 0.1", "S"),
    "a default": ("def f(k=0.1):\n    return k", "f()"),
    "a class attribute": ("class C:\n    k = [0.1]", "C.k[0]"),
    "a dataclass's default": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    k: float = 0.1",
        "C().k",
    ),
    "another name": (
        "def f():\n    return 0.1\ndef g():\n    return 0.3\nh = f",
        "h()",
    ),
}


@pytest.mark.parametrize("place", ["own module", "helper"])
@pytest.mark.parametrize("case", IN_MODULES)
def test_any_edit_of_an_imported_module_is_refused(
    case: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the edit is, and also before the first digest; a reload mends it."""
    text, use = IN_MODULES[case]
    edited = text.replace("h = f", "h = g").replace("0.1", "0.3")
    if place == "helper":
        (tmp_path / "helper_e.py").write_text(text)
        source = "from helper_e import *\n" + HEAD + MINE.format(step=use)
        edited_source, path = edited, tmp_path / "helper_e.py"
    else:
        source = text + "\n" + HEAD + MINE.format(step=use)
        edited_source, path = source.replace(text, edited), tmp_path / "mine_x.py"
    monkeypatch.delitem(sys.modules, "helper_e", raising=False)
    module = import_mine(tmp_path, source, monkeypatch)
    path.write_text(edited_source)
    os.utime(path, (10**9, 10**9))
    with pytest.raises(CodeError, match=r"must be as it was when it was imported"):
        code_digest(module.Mine)
    if place == "helper":
        importlib.reload(sys.modules["helper_e"])
    code_digest(importlib.reload(module).Mine)


BEHIND = {
    "an import in a step": (
        "",
        "lazy()",
        "def lazy():\n    import helper_v as h\n    return h.K\n",
    ),
    "a name imported in a step": (
        "",
        "lazy()",
        "def lazy():\n    from helper_v import eta\n    return eta()\n",
    ),
    "a dict": ("import helper_v\nD = {'m': helper_v}\n", "D['m'].K", ""),
    "a closure": (
        "import helper_v\ndef c():\n    h = helper_v\n"
        "    return lambda: h.K\nf = c()\n",
        "f()",
        "",
    ),
    "a class attribute": ("import helper_v\n", "self.m.K", "Mine.m = helper_v\n"),
}


@pytest.mark.parametrize("case", BEHIND)
def test_values_behind_a_module_count(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that a module took from the environment is part of what runs."""
    head, step, tail = BEHIND[case]
    found = []
    for value in ("0.1", "0.1", "0.3"):
        before = set(sys.modules)
        monkeypatch.setenv("HELPER_K", value)
        (tmp_path / "helper_v.py").write_text(
            "import os\nK = float(os.environ['HELPER_K'])\ndef eta():\n    return K\n"
        )
        found.append(digest(write(tmp_path, step, head=head, tail="\n" + tail)))
        for name in set(sys.modules) - before:
            del sys.modules[name]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Files that change places in packages without __init__.py count as changed."""
    found = []
    for folder, values in (("x", ("1.0", "2.0")), ("y", ("2.0", "1.0"))):
        before = set(sys.modules)
        for name, value in zip(("kit_a", "kit_b"), values, strict=True):
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "util.py").write_text(f"f = lambda: {value}")
        head = "from kit_a import util\nfrom kit_b import util as other\n"
        found.append(digest(write(tmp_path / folder, "util.f()", head=head)))
        for name in set(sys.modules) - before:
            del sys.modules[name]
    assert found[0] != found[1]


MAKERS = {
    "type": "C = type('C', (Base,), {{'step': st}})\n"
    "C = dataclass(frozen=True, kw_only=True)(C)",
    "new_class": "import types\nC = types.new_class('C', (Base,), {{}}, lambda ns: "
    "ns.update(step=st))\nC = dataclass(frozen=True, kw_only=True)(C)",
    "make_dataclass": "import dataclasses\nC = dataclasses.make_dataclass('C', [], "
    "bases=(Base,), namespace={{'step': st}}, frozen=True, kw_only=True)",
}


@pytest.mark.parametrize("maker", MAKERS)
def test_classes_made_by_calls_count(maker: str, tmp_path: Path) -> None:
    """The module of such a class is that of Python's function that made it."""
    found = []
    for value in ("0.1", "0.3"):
        text = HEAD + "def st(self, o, z, s):\n    return {} * z, s\n" + MAKERS[maker]
        (tmp_path / "mine.py").write_text(text.format(value))
        found.append(reference_of(load_external(f"{tmp_path / 'mine.py'}:C")))
    assert "@" in found[0]
    assert found[0] != found[1]


HEADS = {
    "a logger": "import logging\nV = logging.getLogger(__name__)\n",
    "the folder": "from pathlib import Path\nV = Path(__file__).parent / 'data'\n",
    "a pattern": "import re\nV = re.compile('a+', re.I)\n",
    "a union": "V = int | None\n",
    "a proxy": "import types\nV = types.MappingProxyType({'a': 1})\n",
    "a set of members": "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\n"
    "V = {E.A, E.B}\n",
}


@pytest.mark.parametrize("case", HEADS)
def test_ordinary_constants_depend_on_no_place(case: str, tmp_path: Path) -> None:
    """Neither a comment nor the folder of a file counts, whatever a constant holds."""
    found = []
    for folder, comment in (("a", ""), ("b", "# a comment\n")):
        step = "len([V, __name__, __file__])"
        found.append(digest(write(tmp_path / folder, step, head=comment + HEADS[case])))
    assert found[0] == found[1]


# ---- values ----


def make(k: Any) -> type:
    """Return a class whose step uses a captured value."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Captured(GDA):
        def step(self, oracle: Any, z: Any, state: Any) -> Any:
            return k, state

    return Captured


def spread(values: Any) -> Callable[[], Any]:
    """Return a function with a captured value."""
    return lambda: values


# ---- objects that keep content in other places than most objects do ----


def dataclass_of(k: float, *, slots: bool, **options: Any) -> type:
    """Return a class with a default, with metadata, or of an annotation."""
    field = dataclasses.field(default=k, **options)
    return dataclasses.make_dataclass("Options", [("k", float, field)], slots=slots)


def member_of(k: float) -> enum.Enum:
    """Return a member that was given an attribute."""

    class Rule(enum.Enum):
        A = 1

    Rule.A.scale = k
    return Rule.A


def wrapped(base: type, *given: Any, k: float) -> Any:
    """Return an object of a subclass of a wrapper of Python, with an attribute."""
    made = type("Own", (base,), {"__module__": __name__})(*given)
    made.k = k
    return made


def with_attribute(value: Any, k: float) -> Any:
    """Return an object after setting an attribute."""
    value.k = k
    return value


class Named:
    """An object that pickle takes by its name."""

    def __init__(self, k: float) -> None:
        self.k = k

    def __reduce__(self) -> str:
        return "SETTINGS"


class Slotted(functools.partial):
    """A wrapper that keeps an attribute in a slot."""

    __slots__ = ("own",)


def slotted(k: float) -> Slotted:
    """Return one with a value in its slot."""
    made = Slotted(max)
    made.own = k
    return made


def module_of(k: float) -> ModuleType:
    """Return a module that was made in a session."""
    return with_attribute(ModuleType("settings_of_session"), k)


class Speed(Generic[TypeVar("Scale")]):
    """A generic class, which may read what it was given."""


def speed_of(k: float) -> type:
    """Return a class that was given another as its parameter."""
    scale = type("Fast", (), {"k": k, "__module__": __name__})
    return types.new_class("Mine", (Speed[scale],))


def annotated(k: float) -> type:
    """Return a class with an annotation that holds a number."""
    return type("Note", (), {"__annotations__": {"x": Annotated[float, k]}})


def initialised(k: float) -> type:
    """Return a dataclass with an __init__ that was executed from a text."""
    names: dict[str, Any] = {}
    exec(f"def __init__(self, k={k}): self.k = k", names)
    cls = dataclass_of(1.0, slots=False)
    cls.__init__ = names["__init__"]
    return cls


def dunder(k: float) -> type:
    """Return a class with an attribute of a name like those of Python."""
    return type("Own", (), {"__k__": k})


def hooked(function: Callable[..., Any]) -> torch.Tensor:
    """Return a tensor with a hook."""
    made = torch.zeros(1, requires_grad=True)
    made.register_hook(function)
    return made


def with_own_hooks(k: int) -> torch.nn.Module:
    """Return a module with an attribute that is named as torch names its hooks."""
    module = torch.nn.Identity()
    module.my_hooks = {"a": 1, k: 2}
    return module


def with_function(k: float) -> torch.Tensor:
    """Return a tensor with an attribute that is named as one of a wrapper."""
    made = torch.zeros(1)
    made.func = k
    return made


def identity(value: Any) -> Any:
    """Return the value."""
    return value


HIDDEN: list[tuple[Any, Any]] = [
    (dataclass_of(1.0, slots=True), dataclass_of(3.0, slots=True)),
    (
        dataclass_of(1.0, slots=False, metadata={"k": 1}),
        dataclass_of(1.0, slots=False, metadata={"k": 2}),
    ),
    (
        dataclass_of(1.0, slots=True, compare=False),
        dataclass_of(1.0, slots=True),
    ),
    (member_of(1.0), member_of(3.0)),
    *(
        (wrapped(base, *given, k=1.0), wrapped(base, *given, k=3.0))
        for base, given in (
            (property, (identity,)),
            (functools.partial, (identity, 1)),
            (staticmethod, (identity,)),
            (classmethod, (identity,)),
            (functools.cached_property, (identity,)),
            (type(Path()), ("a",)),
        )
    ),
    (
        with_attribute(functools.partial(max), 1.0),
        with_attribute(functools.partial(max), 3.0),
    ),
    (slotted(1.0), slotted(3.0)),
    (
        with_attribute(torch.zeros(2), 1.0),
        with_attribute(torch.zeros(2), 3.0),
    ),
    (torch.zeros(2), torch.zeros(2, requires_grad=True)),
    (torch.zeros(2), torch.zeros(2).as_subclass(type("T", (torch.Tensor,), {}))),
    (Named(1.0), Named(3.0)),
    (module_of(1.0), module_of(3.0)),
    (math.sqrt, cmath.sqrt),
    (speed_of(1.0), speed_of(3.0)),
    (annotated(1.0), annotated(3.0)),
    (dunder(1.0), dunder(3.0)),
    (
        with_attribute(np.ones(1).view(type("A", (np.ndarray,), {})), 1.0),
        with_attribute(np.ones(1).view(type("A", (np.ndarray,), {})), 3.0),
    ),
    (hooked(spread(1)), hooked(spread(3))),
    (with_own_hooks(5), with_own_hooks(7)),
    (with_function(1.0), with_function(3.0)),
    (
        type("A", (), {"f": spread(1), "__module__": "numpy"}),
        type("A", (), {"f": spread(3), "__module__": "numpy"}),
    ),
    (initialised(1.0), initialised(3.0)),
    (2**20_000, 2**20_000 + 1),
    ((2**20_000,), (2**20_000 + 1,)),
    (range(2**20_000), range(2**20_000 + 1)),
]
VALUES: list[tuple[Any, Any]] = [
    (0.01, 0.5),
    (0.0, -0.0),
    (1, 1.0),
    (1, True),
    ("a", b"a"),
    ([1, 2], [2, 1]),
    ([1, 2], (1, 2)),
    ({"a": 1}, {"a": 2}),
    ({1, 2}, {1, 3}),
    (OrderedDict(a=1), OrderedDict(a=2)),
    (defaultdict(int, a=1), defaultdict(int, a=2)),
    (deque([1]), deque([2])),
    (torch.tensor([1.0]), torch.tensor([2.0])),
    (torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)),
    (torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (functools.cache(spread(1)), functools.cache(spread(2))),
    (spread([1]), spread([2])),
    (SimpleNamespace(a=1), SimpleNamespace(a=2)),
    (max, min),
    (torch.float32, torch.float64),
    (GDA(step_size=0.1), GDA(step_size=0.2)),
    (float("nan"), float("inf")),
    (make(1), make(2)),
]


NAMESAKES = [
    (np.linalg, scipy.linalg),
    (random, np.random),
    (np.trace, np.linalg.trace),
    (np.add, np.multiply),
]


@pytest.mark.parametrize(
    ("a", "b"), [*VALUES, *HIDDEN, *NAMESAKES], ids=lambda value: type(value).__name__
)
def test_captured_values_count(a: Any, b: Any) -> None:
    """Two classes of one function differ by what they close over."""
    assert code_digest(make(a)).digest == code_digest(make(a)).digest
    assert code_digest(make(a)).digest != code_digest(make(b)).digest


def test_a_copied_object_leaves_its_class_as_it_was() -> None:
    """`copyreg` keeps the names of slots in a class that was pickled or copied."""
    kind = type("Rates", (), {"__slots__": ("k",), "__module__": __name__})
    rates = kind()
    rates.k = 0.1
    cls = make([kind, rates])
    assert code_digest(cls).digest == code_digest(cls).digest
    assert "__slotnames__" in vars(kind)


def test_what_packages_keep_in_a_class_may_have_no_content() -> None:
    """Objects under names like those of Python are let pass if they have none."""
    kind = type("Model", (), {"__validator__": threading.Lock(), "k": 0.1})
    other = type("Model", (), {"__validator__": threading.Lock(), "k": 0.3})
    assert code_digest(make(kind)).digest == code_digest(make(kind)).digest
    assert code_digest(make(kind)).digest != code_digest(make(other)).digest


def test_values_nested_too_deep_are_one_sentence() -> None:
    """A list within a list, and so on, is refused as a value."""
    values: list[Any] = []
    for _ in range(5000):
        values = [values]
    with pytest.raises(CodeError, match="must use values that are nested less deep"):
        code_digest(make(values))


@pytest.mark.parametrize(
    "value",
    [torch.eye(2).to_sparse(), torch.empty(2, device="meta")],
    ids=["sparse", "meta"],
)
def test_tensors_without_plain_bytes_are_refused(value: torch.Tensor) -> None:
    """A tensor that no array can show is one sentence, not a traceback."""
    with pytest.raises(CodeError, match="closes over, is a Tensor"):
        code_digest(make(value))


def test_values_that_hold_themselves() -> None:
    """A cycle has an end."""
    values: list[Any] = [1]
    values.append(values)
    code_digest(make(values))


@pytest.mark.parametrize(
    "value",
    [
        threading.Lock(),
        iter([1]),
        open(os.devnull),  # noqa: PTH123, SIM115
        np.frompyfunc(identity, 1, 1),
    ],
)
def test_what_cannot_be_compared_is_refused(value: Any) -> None:
    """A value without content, such as a lock or an open file, is named."""
    kind = type(value).__qualname__
    if kind == "list_iterator":
        pytest.skip("its content is what is left of it")
    with pytest.raises(CodeError, match=f"'k', which .* closes over, is a {kind}"):
        code_digest(make(value))


def test_patched_methods_count(tmp_path: Path) -> None:
    """A method that was replaced is part of the digest."""
    cls = load_external(write(tmp_path))
    before = code_digest(cls).digest

    def step(self: Any, oracle: Any, z: Any, state: Any) -> Any:
        return 2 * z, state

    cls.step = step
    assert code_digest(cls).digest != before


ORIGINAL = GDA.step


@functools.wraps(ORIGINAL)
def wrapped(self: Any, oracle: Any, z: Any, state: Any) -> Any:
    """Wrap a step as decorators do."""
    return ORIGINAL(self, oracle, 2 * z, state)


class Descriptor:
    """A method that is no function."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return lambda oracle, z, state: (z, state)


PATCHES: dict[str, tuple[str, Any]] = {
    "a function": ("step", lambda self, oracle, z, state: (z, state)),
    "a wrapper": ("step", wrapped),
    "a method of another class": ("step", Extragradient.step),
    "a partial method": ("step", functools.partialmethod(wrapped)),
    "a descriptor": ("step", Descriptor()),
    "a property": ("cost", property(lambda self: None)),
    "another method": ("init", lambda self, oracle, z: ()),
    "a constant": ("source", None),
    "a hook": ("__getattribute__", lambda self, name: object()),
}


@pytest.mark.parametrize("case", PATCHES)
def test_patched_methods_of_mmbench_are_refused(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A built-in class stands for what mmbench defines, by its name alone."""
    own = load_external(
        write(
            tmp_path,
            tail="\nfrom mmbench.algorithms import GDA\nclass Own(GDA):\n    pass\n",
        )
    )
    own = vars(sys.modules[own.__module__])["Own"]
    name, value = PATCHES[case]
    monkeypatch.setattr(GDA, name, value, raising=False)
    for cls in (GDA, own):
        with pytest.raises(CodeError, match=f"GDA must be as mmbench .* its {name}"):
            reference_of(cls)


def test_a_method_replaced_on_an_object_is_refused() -> None:
    """The digest of a class does not show what one object has."""
    algorithm = GDA()
    object.__setattr__(algorithm, "step", lambda oracle, z, state: (z, state))
    with pytest.raises(CodeError, match="its step was replaced on one object"):
        canonical(algorithm)


def test_an_attribute_of_a_module_counts(tmp_path: Path) -> None:
    """A value that was set in another module from outside is seen."""
    (tmp_path / "helper_p.py").write_text("S = max(1, 0)")
    reference = write(tmp_path, "helper_p.S", head="import helper_p\n")
    before = digest(reference)
    sys.modules["helper_p"].S = 7
    assert code_digest(load_external(reference)).digest != before


def test_a_name_added_to_those_of_python_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value in `builtins` is a global of every module."""
    found = []
    for value in (0.1, 0.3):
        monkeypatch.setattr(builtins, "RATE", value, raising=False)
        found.append(digest(write(tmp_path, "RATE")))
    assert found[0] != found[1]


def test_an_attribute_of_the_main_module_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`__main__` is a module as any other."""
    main, found = sys.modules["__main__"], []
    for value in (0.1, 0.3):
        monkeypatch.setattr(main, "RATE", value, raising=False)
        reference = write(tmp_path, "__main__.RATE", head="import __main__\n")
        found.append(digest(reference))
    assert found[0] != found[1]


def test_values_of_a_package_without_a_file_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module in a folder without __init__.py is part of what runs."""
    found = []
    (tmp_path / "kit_n").mkdir()
    (tmp_path / "kit_n" / "rates.py").write_text("import os\nK = os.environ['KIT_K']")
    for value in ("0.1", "0.3"):
        before = set(sys.modules)
        monkeypatch.setenv("KIT_K", value)
        head = "import kit_n.rates\n"
        found.append(digest(write(tmp_path, "float(kit_n.rates.K)", head=head)))
        for name in set(sys.modules) - before:
            del sys.modules[name]
    assert found[0] != found[1]


def test_files_of_one_name_that_change_places_count(tmp_path: Path) -> None:
    """Which of two files a function is from is part of what runs."""
    head = """
import importlib.util, pathlib
def load(folder):
    path = pathlib.Path(__file__).parent / folder / "rule.py"
    spec = importlib.util.spec_from_file_location("rule", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rate
first, second = load("one"), load("two")
"""
    found = []
    for place, rates in (("a", (0.1, 0.3)), ("b", (0.3, 0.1))):
        for name, rate in zip(("one", "two"), rates, strict=True):
            (tmp_path / place / name).mkdir(parents=True)
            text = f"def rate():\n    return {rate}\n"
            (tmp_path / place / name / "rule.py").write_text(text)
        step = "first() - second()"
        found.append(digest(write(tmp_path / place, step, head=head)))
    assert found[0] != found[1]


# ---- code without a file ----

TYPED = HEAD + MINE.format(step="{step}")


def typed(step: str, name: str, *, keeps_source: bool) -> Any:
    """Return a class that was typed in a session."""
    text = TYPED.replace("{step}", step)
    if keeps_source:
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module = ModuleType("typed_session")
    sys.modules[module.__name__] = module
    exec(compile(text, name, "exec"), vars(module))
    return vars(module)["Mine"]


@pytest.mark.parametrize("keeps_source", [True, False])
def test_typed_classes_are_known_by_what_was_typed(keeps_source: bool) -> None:
    """Equal statements have one digest in all sessions, other statements another."""
    classes = [
        typed(step, f"<cell {i}>", keeps_source=keeps_source)
        for i, step in enumerate(("0.1", "0.1", "0.2"))
    ]
    first, same, other = (code_digest(cls).digest for cls in classes)
    assert first == same
    assert first != other
    assert reference_of(classes[0]).startswith("typed_session:Mine@")


def test_the_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    """It depends on neither addresses nor the order of sets."""
    reference = write(
        tmp_path,
        "sum(S) * len(T)",
        head="S = {'a', 'b', 'c'}\nT = frozenset({1.5, 'x'})\n",
    )
    script = (
        "from mmbench.core.external import load_external\n"
        "from mmbench.core.code_digest import code_digest\n"
        f"print(code_digest(load_external({reference!r})).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == digest(reference)


def test_versions_of_packages_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version of a package that a class imports is part of its digest."""
    reference = write(tmp_path, head="import tqdm\n")
    before = digest(reference)
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"other {name}")
    assert digest(reference) != before


def test_classes_of_installed_packages_count_by_file_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade of a package gives its classes another key."""
    (tmp_path / "kit-1.0.dist-info").mkdir()
    (tmp_path / "kit-1.0.dist-info" / "RECORD").write_text("mine_x.py,,\n")
    found = []
    for step in ("0.1", "0.25"):  # of two lengths, or Python may take old bytecode
        module = import_mine(tmp_path, HEAD + MINE.format(step=step), monkeypatch)
        found.append(reference_of(module.Mine))
        assert not is_external_class(module.Mine)
        del sys.modules["mine_x"]
    assert found[0].startswith("mine_x.py:Mine@")
    assert found[0] != found[1]


def test_a_class_under_a_name_of_mmbench_is_not_of_mmbench() -> None:
    """The module that a class states does not make it one of mmbench."""
    cls = make(1)
    cls.__module__, cls.__qualname__ = GDA.__module__, GDA.__qualname__
    assert "@" in reference_of(cls)


def test_a_missing_data_file_is_one_sentence(tmp_path: Path) -> None:
    """The sentence names the class, the file and the error."""
    reference = write(tmp_path, tail="\n    data_files = ('none.txt',)\n")
    with pytest.raises(CodeError, match=r"data_files must name .*none\.txt gave"):
        digest(reference)


@pytest.mark.parametrize("names", ["None", "3", "(1,)", "('a\\0b',)", "property(len)"])
def test_data_files_are_names(names: str, tmp_path: Path) -> None:
    """Anything else is one sentence."""
    reference = write(tmp_path, tail=f"\n    data_files = {names}\n")
    with pytest.raises(CodeError, match=r"Mine\.data_files must be a tuple of names"):
        digest(reference)


def test_an_edited_data_file_loads_its_class_anew(tmp_path: Path) -> None:
    """A class that read the file when it was loaded has the values of its digest."""
    head = (
        "import json, pathlib\n"
        "RATE = json.loads((pathlib.Path(__file__).parent / 'rate.json').read_text())\n"
    )
    data = "\n    data_files = ('rate.json',)\n"
    (tmp_path / "rate.json").write_text("0.1")
    reference = write(tmp_path, "RATE", head=head, tail=data)
    first = load_external(reference)
    before = code_digest(first).digest
    (tmp_path / "rate.json").write_text("0.3")
    with pytest.raises(CodeError, match=r"rate\.json must be as it was when Mine was"):
        code_digest(first)
    again = load_external(reference)
    assert again.step.__globals__["RATE"] == 0.3
    assert code_digest(again).digest != before
    assert load_external(reference) is again


def test_data_files_have_fixed_content(tmp_path: Path) -> None:
    """A pipe would be waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    reference = write(tmp_path, tail="\n    data_files = ('pipe',)\n")
    with pytest.raises(CodeError, match="must name files of fixed content"):
        digest(reference)


def test_statements_on_one_line_are_told_apart() -> None:
    """A function counts by all that was typed on its lines."""
    digests = set()
    for i, value in enumerate((0.1, 0.3)):
        text = f"import math; size = lambda: {value}\n"
        name = f"<typed line {i}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        module = ModuleType("typed_line")
        exec(compile(text, name, "exec"), vars(module))
        digests.add(code_digest(make(module.size)).digest)
    assert len(digests) == 2


def test_hooks_count_by_their_order() -> None:
    """torch's numbers of hooks are those of a process, and a hook's code counts."""
    digests = []
    for value in (1, 1, 3):
        module = torch.nn.Identity()
        module.register_forward_hook(spread(value))
        digests.append(code_digest(make(module)).digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow
def test_modules_behind_a_set_depend_on_no_order(tmp_path: Path) -> None:
    """Functions of two modules in one set, in processes with other hashes."""
    for name in ("one", "two"):
        text = f"import {name}_h\ndef f():\n    return {name}_h.K\n"
        (tmp_path / f"{name}_m.py").write_text(text)
        (tmp_path / f"{name}_h.py").write_text(f"K = '{name}'\n")
    head = "import one_m, two_m\nS = {('a', one_m.f), ('b', two_m.f)}\n"
    reference = write(tmp_path, "len(S)", head=head)
    script = (
        "from mmbench.core.external import load_external\n"
        "from mmbench.core.code_digest import code_digest\n"
        f"print(code_digest(load_external({reference!r})).digest)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3", "4")
    }
    assert len(found) == 1


def test_functions_typed_in_one_statement_are_told_apart() -> None:
    """Which of them is used counts as well."""
    text = "sizes = [lambda: 0.1, lambda: 0.3]\n"
    linecache.cache["<typed sizes>"] = (
        len(text),
        None,
        text.splitlines(True),
        "<typed sizes>",
    )
    module = ModuleType("typed_sizes")
    exec(compile(text, "<typed sizes>", "exec"), vars(module))
    cls = typed("size()", "typed_sizes", keeps_source=True)
    globals_of = cls.step.__globals__
    digests = set()
    for size in module.sizes:
        globals_of["size"] = size
        digests.add(code_digest(cls).digest)
    assert len(digests) == 2

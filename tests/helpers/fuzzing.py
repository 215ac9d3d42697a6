"""Inputs of the fuzz tests, and checks of what mmbench makes of them.

Inputs are valid specs with an error in them, or random text. Sizes are small, since
an input that is not refused is computed.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import strategies as st
from spec_variants import ALGORITHM_VARIANTS

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS, SCHEDULES
from mmbench.algorithms.base import needs_of
from mmbench.cli import VERBS, main
from mmbench.core.description import canonical
from mmbench.core.errors import DescriptionError, MmbenchError
from mmbench.core.registry import Registry
from mmbench.core.serialization import from_canonical
from mmbench.core.spec import parse
from mmbench.metrics import METRICS
from mmbench.runner.plan import plan
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite
from mmbench.suites.toml import load_suite
from mmbench.tasks import LOSSES, REGULARISERS, TASKS

FAMILIES = (
    TASKS,
    LOSSES,
    REGULARISERS,
    ALGORITHMS,
    METRICS,
    DIRECTIONS,
    ACCEPTANCES,
    SCHEDULES,
)
TASK_WORDS = ("bilinear", "quadratic[a=-3]", "dirac_gan[loss=wasserstein,clip=1]")

# ---- checks ----

_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def check_sentence(error: Exception) -> None:
    """Check that an error is one of mmbench's, with a sentence as its message."""
    assert isinstance(error, MmbenchError)
    message = " ".join(str(error).split())
    assert len(message.split()) >= 3, message
    assert message[-1] in ".?'", message


def check(result: Result) -> None:
    """Check that a command ends with a known exit code, or is refused in a sentence."""
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2, 130)
    assert "Traceback" not in result.output
    assert not _COMMANDS.search(result.output), result.output
    if result.exit_code == 2 and "\nCommands:\n" not in result.stderr:
        lines = result.stderr.splitlines()
        if lines[0].startswith("Usage: "):  # click's own, with advice before
            errors = [line for line in lines if line.startswith("Error: ")]
        else:
            errors = lines
        assert len(errors) == 1, result.stderr
        assert errors[0].startswith("Error: "), result.stderr
        assert len(errors[0].split()) >= 3


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Change the working folder within a block."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def empty_folder() -> Iterator[Path]:
    """Work in an empty folder within a block."""
    with tempfile.TemporaryDirectory() as name, working_in(Path(name)):
        yield Path(name)


# ---- text ----

ODD = (
    *"[](),=:. ",
    *"\n\t\r\0\x1b\x07\x7f\x9b\u202e\ud800\u2028é∇😀'\"`$%&#_^{}~\\<>|*?-",
    "<script>alert(1)</script>",
    "\x1b[31m",
    "../",
    "--",
    " = ",
    "nan",
    "inf",
    "-0",
    "1e999",
    "9" * 400,
    "none",
    "true",
    "x" * 300,
    "[[" * 30,
    "a[b=" * 3000,
    "(" * 3000,
    "os:system",
    "__class__",
)
letters = st.sampled_from(["a", "b", "1", "0.5", "gda", "adam", "step_size", *ODD])
text = st.lists(letters, max_size=8).map("".join)


@st.composite
def broken(draw: st.DrawFn, valid: st.SearchStrategy[str]) -> str:
    """Draw a valid spec with a few characters inserted, deleted or replaced."""
    words = draw(valid)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(words)))
        to = at + draw(st.integers(0, 3))
        words = words[:at] + draw(st.sampled_from(["", *ODD])) + words[to:]
    return words


numbers = st.integers(-2, 5).map(str) | st.sampled_from(["0.1", "1e-9", "(1,2)", "()"])


@st.composite
def specs(draw: st.DrawFn, family: Registry) -> str:
    """Draw a spec of a member with parameters; neither need fit the family."""
    members = [name for one in (family, family, *FAMILIES) for name in one]
    name = draw(st.sampled_from([*members, *ALGORITHM_VARIANTS]))
    fields = ["step_size", "direction", "k", "of", "loss", "dim", "clip", "player"]
    if name in family:
        fields += list(family[name].__dataclass_fields__) * 3
    values = numbers | st.sampled_from(["adam", "plain", "x", "y", "hinge", "gap"])
    given = draw(
        st.lists(
            st.tuples(st.sampled_from(fields), values | broken(values)), max_size=3
        )
    )
    inside = ",".join(f"{key}={value}" for key, value in given)
    return f"{name}[{inside}]" if given and "[" not in name else name


def specs_or_text(family: Registry) -> st.SearchStrategy[str]:
    """Return specs for a family, most of them bad."""
    return specs(family) | broken(specs(family)) | text


# ---- each kind of input ----

families = st.sampled_from(FAMILIES)
references = families.flatmap(
    lambda family: st.tuples(st.just(family), specs_or_text(family))
)


def try_words(given: tuple[Registry, str]) -> None:
    """Build a member, serialise it, and build it again."""
    family, words = given
    try:
        parse(words)
        made = family.build(words)
    except DescriptionError as error:
        check_sentence(error)
        return
    assert (
        from_canonical(json.loads(json.dumps(canonical(made, whole=True))), {}) == made
    )


plain = st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | text
anything = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)
    ),
    max_leaves=6,
)


_FITTING = tuple(
    words
    for words in ALGORITHM_VARIANTS
    if needs_of(ALGORITHMS.build(words)) <= TASKS.build("bilinear").gives
)
_GRID = Grid(tasks=("bilinear",), algorithms=_FITTING, seeds=2, steps=3)
_CELLS = plan(Suite(name="x", grids=(_GRID,)))
_DOCUMENTS = [json.dumps(canonical(cell, whole=True)) for cell in _CELLS]


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """Draw the JSON of a description with a value replaced, added or removed."""
    document = json.loads(draw(st.sampled_from(_DOCUMENTS)))
    for _ in range(draw(st.integers(1, 2))):
        inner = document
        while isinstance(inner, dict) and draw(st.booleans()):
            deeper = [one for one in inner.values() if isinstance(one, dict)]
            inner = draw(st.sampled_from(deeper)) if deeper else inner
            if not deeper:
                break
        name = draw(st.sampled_from([*inner, "another"]))
        if draw(st.booleans()):
            inner.pop(name, None)
        else:
            inner[name] = draw(anything)
    return document


def try_document(document: Any) -> None:
    """Deserialise a description, or check the refusal."""
    try:
        from_canonical(document, {})
    except DescriptionError as error:
        check_sentence(error)


def toml_value(value: Any) -> str:
    """Return a value in TOML, approximately."""
    if isinstance(value, dict):
        inner = ", ".join(
            f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items()
        )
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(toml_value(one) for one in value)}]"
    return json.dumps(value)


@st.composite
def suites(draw: st.DrawFn) -> bytes:
    """Draw the content of a suite.toml, often with errors."""
    lists = {
        "tasks": st.lists(
            st.sampled_from(TASK_WORDS) | specs_or_text(TASKS), max_size=3
        ),
        "algorithms": st.lists(
            specs_or_text(ALGORITHMS)
            | specs_or_text(ALGORITHMS).map(lambda one: f"A = {one}")
            | st.fixed_dictionaries(
                {"label": text, "algorithm": specs_or_text(ALGORITHMS)}
            ),
            max_size=3,
        ),
        "metrics": st.lists(specs_or_text(METRICS), max_size=2),
    }
    others = {
        "seeds": st.integers(-1, 5),
        "first_seed": st.integers(-1, 5),
        "steps": st.integers(-1, 10**19),
        "records": st.integers(-1, 5),
        "dtype": st.sampled_from(["float32", "float64", "half"]),
        "after": st.sampled_from(["", "A", "gda"]),
        "inherit": st.sampled_from(["both", "x", "z"]),
        "keep": st.sampled_from(["none", "all", "some"]),
    }
    lines = [f"name = {toml_value(draw(text))}", f"title = {toml_value(draw(text))}"]
    lines = draw(st.lists(st.sampled_from(lines), unique=True))
    for _ in range(draw(st.integers(0, 2))):
        lines.append("[[grid]]")
        chosen = draw(st.sets(st.sampled_from(sorted(others)), max_size=3))
        left_out = draw(st.sampled_from(["", "", "", "tasks", "algorithms"]))
        for key in [*lists, *sorted(chosen)]:
            if key != left_out:
                made = draw({**lists, **others}[key])
                odd = draw(st.integers(0, 15)) == 0
                lines.append(f"{key} = {toml_value(draw(anything) if odd else made)}")
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=3)) + content[at + 1 :]
    return content


def try_suite(content: bytes) -> None:
    """Load a suite and plan it, or check the refusal."""
    path = Path("suite.toml")
    path.write_bytes(content)
    try:
        plan(load_suite(path))
    except MmbenchError as error:
        check_sentence(error)


paths = st.sampled_from(
    ["s", "s/deep", "a file", "file", "é😀", "\x1b[31mred", "x" * 300, ""]
)
small = st.sampled_from(["1", "2", "3", "0", "-1", "x", "1e3", "", "9" * 30])


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a verb with arguments and options; few runs, few steps."""
    verb = draw(st.sampled_from([*VERBS, "plan", "run", "run", "show"]) | text)
    if verb in ("features", "store"):  # which fetch and delete
        return [verb, draw(text)]
    words = [verb]
    if draw(st.booleans()):
        name = st.sampled_from([*TASKS, *ALGORITHMS, "tasks", "none.toml", "file"])
        words.append(draw(name | text | broken(name)))
    for _ in range(draw(st.integers(0, 4))):
        option, values = draw(
            st.sampled_from(
                [
                    ("-t", st.sampled_from(TASK_WORDS) | specs_or_text(TASKS)),
                    ("-t", st.sampled_from(TASK_WORDS)),
                    ("-a", specs_or_text(ALGORITHMS)),
                    ("-a", st.sampled_from(list(ALGORITHMS))),
                    ("-a", text.map(lambda label: f"{label} = gda")),
                    ("-m", specs_or_text(METRICS)),
                    ("--store", paths),
                    ("--out", paths),
                    ("--seeds", small),
                    ("--seed", small),
                    ("--records", small),
                    ("--dtype", st.sampled_from(["float64", "int"])),
                    ("--format", st.sampled_from(["json", "markdown", "csv", "xml"])),
                    ("--keep", st.sampled_from(["all", "last", "some"])),
                    ("--outside", text),
                ]
            )
        )
        words += [option, draw(values)]
    words += draw(st.sampled_from([[], [], [], ["--json"], ["--strict"], ["--help"]]))
    # Whatever is computed is small; these come last, so that they hold.
    known = verb in ("plan", "run", "results", "report")
    return [*words, "--steps", "3", "--seeds", "2"] if known else words


def _harmless(words: list[str]) -> bool:
    """Return whether a command computes nothing large and downloads nothing."""
    large = ("digits", "mnist", "cifar", "gaussians", "gan[", "dim=9", "frechet")
    return not any(one in word for word in words for one in large)


harmless_command_lines = command_lines().filter(_harmless)


def try_command(words: list[str]) -> None:
    """Run a command line and check its end."""
    Path("file").touch()
    check(CliRunner().invoke(main, words))


FAULTS = (
    "raise ValueError('odd')",
    "raise SystemExit(3)",
    "raise SystemExit('bye')",
    "raise KeyError",
    "raise RecursionError('deep')",
    "raise MemoryError",
    "raise Exception('\\x1b[31mred\\nlines\\u202e')",
    "raise type('Ödd\\x1b[1m', (Exception,), {})('x')",
    "raise StopIteration",
    "raise GeneratorExit",
    "assert False",
    "return None",
    "return 3",
    "return 'text'",
    "return (z, z, z)",
    "return z, None",
    "return z.double(), state",
    "return z[:1], state",
    "return z * float('nan'), state",
    "return z.numpy(), state",
    "z.mul_(2); return z, state",
    "return z + 1, [z]",
    "return oracle.field(z[:1]), state",
    "return z - oracle.nothing(z), state",
    "return z, torch.ones(1)",
    "return -z, state",
    "import nothing_there",
    "1 / 0",
    "while True: raise Exception",
    "return Cost(grad_x=-1)",
    "return Cost()",
    "return float('nan')",
    "return object()",
)
BODY = '''
from dataclasses import dataclass
import torch
from mmbench import Algorithm, Cost, Source
{top}
{decorator}
class {name}({base}):
    """{doc}"""
    {fields}
    version = {version}
    def check(self):
        {check}
    @property
    def cost(self):
        {cost}
    def init(self, oracle, z):
        {init}
    def step(self, oracle, z, state):
        {step}
    def done(self, state):
        {done}
'''
GOOD = {
    "top": "",
    "decorator": "@dataclass(frozen=True, kw_only=True)",
    "name": "Mine",
    "base": "Algorithm",
    "doc": "Mine.",
    "fields": "k: int = 1",
    "version": "1",
    "check": "pass",
    "cost": "return Cost(grad_x=1, grad_y=1)",
    "init": "return ()",
    "step": "return z - 0.1 * oracle.field(z), state",
    "done": "return None",
}
OTHERS = {
    "top": (
        "raise OSError",
        "import sys; sys.exit()",
        "x = = 1",
        "\0",
        "Algorithm = 3",
    ),
    "decorator": ("", "@dataclass", "@dataclass(frozen=True)", "@property", "@3"),
    "name": ("mine", "Ödd", "Mine2", "class", "Mine[T]"),
    "base": ("", "object", "Source", "3", "Algorithm, Cost", "Exception"),
    "doc": ("", '"', "\\x1b[31m<script>", "x\n\n    y\n\nArgs:\n  k", "\\\\", "{}"),
    "fields": ("k: int", "k: str = 3", "k = 1", "k: dict = None", "k: 'x' = 1", "k"),
    "version": ("'x'", "None", "property(lambda s: 1/0)", "object()", "1.5"),
}


@st.composite
def sources(draw: st.DrawFn) -> str:
    """Draw the source of an external class with one or two faults."""
    parts = dict(GOOD)
    for _ in range(draw(st.integers(1, 2))):
        part = draw(st.sampled_from(sorted(GOOD)))
        parts[part] = draw(st.sampled_from(OTHERS.get(part, FAULTS)))
    return BODY.format(**parts)


_number = iter(range(10**9))


def try_source(source: str) -> None:
    """Plan and run an external class, and check each command."""
    file = Path(f"mine{next(_number)}.py")
    file.write_bytes(source.encode("utf-8", "surrogatepass"))
    words = ("-t", "bilinear", "-a", f"{file}:Mine", "--seeds", "2", "--steps", "3")
    check(CliRunner().invoke(main, ["show", f"{file}:Mine"]))
    check(CliRunner().invoke(main, ["plan", *words]))
    ran = CliRunner().invoke(main, ["run", *words])
    check(ran)
    if ran.exit_code != 2:
        check(CliRunner().invoke(main, ["results", *words, "--format", "markdown"]))
        check(CliRunner().invoke(main, ["report", *words, "--out", "page"]))


# Inputs, the function that tries one, and their number in the slow test, by kind.
KINDS: dict[str, tuple[st.SearchStrategy, Callable[[Any], None], int]] = {
    "words": (references, try_words, 5000),
    "documents": (documents(), try_document, 2000),
    "suites": (suites(), try_suite, 2000),
    "command lines": (harmless_command_lines, try_command, 1500),
    "sources": (sources(), try_source, 300),
}
assert sum(count for _, _, count in KINDS.values()) >= 10_000
assert SUITES

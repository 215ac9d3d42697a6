"""Names that installed packages register, by entry points, for their own classes.

A package states them in its metadata, so that listing imports nothing:

    [project.entry-points."mmbench.algorithms"]
    lab_gda = "lab.algorithms:LabGDA"
"""

import ast
import re
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z_]\w*")
_REFERENCE = re.compile(r"\w+(\.\w+)*:\w+")


class Registered(NamedTuple):
    """A name that an installed package registers.

    Args:
        reference: what it stands for, `package.module:Class`, or a variable of the
            module that holds what a call of mmbench made.
        package: name and version of the package.
        summary: first line of the docstring in the class's file; empty where it is not
            found without an import.
    """

    reference: str
    package: str
    summary: str


class Registrations(NamedTuple):
    """What installed packages register in a group of entry points.

    Args:
        members: what can be used, by name.
        problems: one sentence about each of the others, by name.
    """

    members: dict[str, Registered]
    problems: dict[str, str]


def find_registrations(group: str, taken: Collection[str]) -> Registrations:
    """Return what the metadata of installed packages state; imports nothing of them.

    Args:
        group: group of entry points, such as "mmbench.algorithms".
        taken: names that mmbench has itself.
    """
    members: dict[str, Registered] = {}
    problems: dict[str, str] = {}
    for distribution, points in _stating(group):
        package = f"{distribution.name} {distribution.version}"
        if points is None:
            problems[package] = (
                f"The entry points of {package} must be lines `name = module:Class`; "
                "they cannot be read."
            )
        for point in points or ():
            name, reference = point.name, "".join(point.value.split())
            if name in taken:
                problems[name] = (
                    f"{package} must register {name!r} under another name, since "
                    "mmbench has one of this name; mmbench's own is used."
                )
            elif not _NAME.fullmatch(name) or not _REFERENCE.fullmatch(reference):
                problems[name] = (
                    f"{package} must register a word as module:Class; got {name!r} as "
                    f"{point.value!r}."
                )
            elif name in members:
                problems[name] = (
                    f"{name!r} must be registered by one package; {package} and "
                    f"{members[name].package} do."
                )
            else:
                summary = _summary(distribution, reference)
                members[name] = Registered(reference, package, summary)
    usable = {name: one for name, one in members.items() if name not in problems}
    return Registrations(usable, problems)


def _stating(group: str) -> Iterator[tuple[Distribution, list[EntryPoint] | None]]:
    """Yield the packages with a group, and its entry points; None if unreadable.

    Of a package that is on Python's path twice, the first counts, as for imports.
    """
    seen = set()
    for distribution in distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if f"[{group}]" not in text or distribution.name in seen:
            continue
        seen.add(distribution.name)
        try:
            yield distribution, list(distribution.entry_points.select(group=group))
        except Exception:  # whatever an odd line makes the parser raise
            yield distribution, None


def _summary(distribution: Distribution, reference: str) -> str:
    """Return the first line of the docstring of a class in a package's files."""
    module, _, attribute = reference.partition(":")
    stem = module.replace(".", "/")
    for path in (f"{stem}.py", f"{stem}/__init__.py"):
        try:
            source = str(distribution.locate_file(path))
            with open(source, "rb") as file:  # noqa: PTH123  # it need not be a Path
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""

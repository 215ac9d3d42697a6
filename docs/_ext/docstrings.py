"""Docstrings and signatures as the reference shows them."""

import inspect
import re
from typing import Any

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger

import mmbench
from mmbench.core.description import Description

logger = getLogger(__name__)
_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields|Examples?):$")
MADE_BY_MMBENCH = ("Linearisation", "Oracle", "Point", "Results", "Unrolled")


def keep_lines(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Put `::` before each indented block that is not part of a section.

    So update rules and examples keep their lines.
    """
    kept: list[str] = []
    section = block = False
    for line in lines:
        if _SECTION.match(line):
            section = True
        elif line and not line.startswith(" "):
            section = block = False
        elif line and not section and not block and kept and not kept[-1]:
            kept += ["::", ""]
            block = True
        kept.append(line)
    lines[:] = kept


def show_fields(
    app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str,
    returns: str,
) -> tuple[str, str] | None:
    """Return the signature of a class: fields with defaults, whose domains are long.

    Objects that users are given, and never make, have none.
    """
    if what != "class":
        return None
    if name.rpartition(".")[2] in MADE_BY_MMBENCH or inspect.isabstract(obj):
        return "", ""
    if issubclass(obj, Description):
        parameters = [
            one.replace(annotation=inspect.Parameter.empty)
            for one in inspect.signature(obj).parameters.values()
        ]
        return str(inspect.Signature(parameters)), ""
    return None


def find_by_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """Resolve a name of mmbench that is written without its module, or by another."""
    name = node.get("reftarget", "").rpartition(".")[2]
    domain = env.get_domain("py")
    found = [one for one in domain.objects if one.rpartition(".")[2] == name]
    if node.get("refdomain") != "py" or len(found) != 1 or "." not in found[0]:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], found[0], node, content
    )


def find_undocumented(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that the reference lacks."""
    documented = env.get_domain("py").objects
    for reference in mmbench._NAMES:  # noqa: SLF001
        name = f"mmbench.{reference.partition(':')[2]}"
        if ":" in reference and name not in documented:
            logger.warning("%s must be in docs/reference.md; it is not.", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this extension; it reads docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", keep_lines, priority=100)
    app.connect("autodoc-process-signature", show_fields)
    app.connect("missing-reference", find_by_name)
    app.connect("env-check-consistency", find_undocumented)
    return {"parallel_read_safe": True}

"""BibTeX of what results used: mmbench, algorithms, tasks, data sets and metrics."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any

from mmbench.algorithms import ALGORITHMS
from mmbench.analysis.report.latex import escape
from mmbench.core.errors import MmbenchError
from mmbench.core.source import Source
from mmbench.metrics import METRICS
from mmbench.tasks import TASKS

_STATED = re.compile(r"(?P<authors>.+?) (?P<year>\d{4}), (?P<title>.+)", re.DOTALL)
_ARXIV = re.compile(r"https?://arxiv\.org/abs/(?P<number>\S+)")
_DOI = re.compile(r"https?://(?:dx\.)?doi\.org/(?P<doi>\S+)")
_SMALL_WORDS = frozenset({"a", "an", "the", "on", "what", "is", "of", "in"})

Used = tuple[Source, str]  # a publication, and what is from it


def to_bibtex(footers: Iterable[Mapping[str, Any]]) -> str:
    """Return entries of all publications that cells used, sorted by their keys.

    A comment above an entry says what is from it. Sources of external classes are taken
    from what their cells state.

    Args:
        footers: description and provenance of each cell.
    """
    users: dict[tuple[str, int, str], dict[str, None]] = {}
    links: dict[tuple[str, int, str], str] = {}
    for footer in footers:
        for source, user in _sources_of(footer):
            work = source.authors, source.year, source.title
            users.setdefault(work, {})[user] = None
            links[work] = links.get(work) or source.link
    taken: set[str] = set()
    entries = {}
    for work in sorted(users, key=lambda work: (_key(*work), work)):
        key = _unique(_key(*work), taken)
        comment = ", ".join(users[work]).replace("@", " at ")
        entries[key] = f"% {comment}\n{_entry(key, *work, links[work])}"
    return "\n".join([_mmbench(), *entries.values()])


def _mmbench() -> str:
    return (
        "% the harness\n"
        "@misc{mmbench,\n"
        "  author = {{The mmbench authors}},\n"
        "  title = {{mmbench: a benchmark harness for min-max algorithms}},\n"
        f"  version = {{{version('mmbench')}}}\n"
        "}\n"
    )


def _sources_of(footer: Mapping[str, Any]) -> Iterator[Used]:
    """Yield the publications of a cell's algorithm, task, data and metrics."""
    members = (
        ("algorithm", ALGORITHMS, footer["algorithm"], footer["method"]),
        ("task", TASKS, footer["task"], footer["game"]),
    )
    for kind, registry, spec, stated in members:
        name = _one_line(spec).partition("[")[0]
        try:
            description = registry.build(footer[kind], external=False)
        except MmbenchError:  # an external class, or one of another version
            description = None
        if description is None or stated["source"] != str(description.source or ""):
            yield from _stated(stated, f"{kind} {name}")
            continue
        for part in _parts(description):
            own = getattr(part, "source", None)
            user = f"{kind} {name}"
            if isinstance(own, Source):
                yield own, user
            for source in getattr(part, "data_sources", ()):
                yield source, f"data of {name}"
    for spec in footer.get("metrics", ()):
        try:
            metric = METRICS.build(spec.partition("@")[0], external=False)
        except MmbenchError:
            continue
        for source in metric.sources:
            yield source, f"metric {spec.partition('[')[0]}"


def _parts(description: Any) -> Iterator[Any]:
    """Yield a description and all that are fields of it."""
    yield description
    for field in fields(description):
        value = getattr(description, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            if is_dataclass(one):
                yield from _parts(one)


def _stated(stated: Mapping[str, Any], user: str) -> Iterator[Used]:
    """Yield the publication that an external class states, if it states one."""
    found = _STATED.fullmatch(stated["source"])
    if found:
        link = stated["link"] if stated["link"].startswith("http") else ""
        authors, year, title = found["authors"], int(found["year"]), found["title"]
        yield Source(authors=authors, year=year, title=title, link=link), user


def _key(authors: str, year: int, title: str) -> str:
    """Return first author, year and first word of the title, without accents."""
    first = re.split(r",| and ", authors)[0]
    words = [word for word in _plain(title).split() if word not in _SMALL_WORDS]
    author = _plain(first).replace(" ", "") or "anonymous"
    return f"{author}{year}{next(iter(words), '')}"


def _plain(text: str) -> str:
    """Return a text in small letters of ASCII, with spaces between words."""
    decomposed = unicodedata.normalize("NFKD", text.replace("ł", "l"))
    bare = "".join(one for one in decomposed if not unicodedata.combining(one))
    return " ".join(
        re.findall(r"[a-z0-9]+", bare.lower().encode("ascii", "ignore").decode())
    )


def _unique(key: str, taken: set[str]) -> str:
    """Return a key with a letter after it if another entry has it."""
    letters = chain([""], map(chr, range(ord("b"), ord("z") + 1)))
    found = next(key + letter for letter in letters if key + letter not in taken)
    taken.add(found)
    return found


def _entry(key: str, authors: str, year: int, title: str, link: str) -> str:
    names = [name for name in re.split(r", | and ", _one_line(authors)) if name]
    values = {
        "author": " and ".join(map(escape, names)),
        "title": f"{{{escape(_one_line(title))}}}",
        "year": str(year),
    }
    if found := _ARXIV.fullmatch(link):
        values |= {"eprint": found["number"], "archiveprefix": "arXiv"}
    elif found := _DOI.fullmatch(link):
        values |= {"doi": found["doi"]}
    if link:
        values["url"] = re.sub(r"[{}\s]", "", link)
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in values.items())
    return f"@misc{{{key},\n{lines}\n}}\n"


def _one_line(text: str) -> str:
    """Return text on one line, without braces, which BibTeX counts."""
    return " ".join(text.translate({ord("{"): "(", ord("}"): ")"}).split())

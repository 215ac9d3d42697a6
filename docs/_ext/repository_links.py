"""Pages of the repository as pages of the site, with links that work in both.

A page in `docs/` is also read in the repository, where its relative links lead to
files such as `../CONTRIBUTING.md` and `../mmbench/algorithms/gda.py`. Such files have
pages of their own here, in `docs/generated`, which every build writes anew.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "generated"

# Files of the repository that are pages of the site.
PAGES = [
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("reports/**/*.md")),
]
FAMILIES = ("algorithms", "tasks", "metrics", "suites")  # folders of members

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")


def page_of(file: Path) -> Path:
    """Return the page of the site for a file of the repository, or the file itself."""
    path = file.relative_to(ROOT)
    if file in PAGES:
        return GENERATED / path
    if path.parts[0] == "mmbench" and path.parts[1] in FAMILIES:
        return GENERATED / path.parts[1] / f"{path.stem}.md"
    return DOCS / "index.md" if path.as_posix() == "README.md" else file


def with_site_links(text: str, file: Path, page: Path) -> str:
    """Return the text of a repository file with its links as those of its page."""

    def link(found: re.Match[str]) -> str:
        target = (file.parent / found[1]).resolve()
        return Path(os.path.relpath(page_of(target), page.parent)).as_posix()

    return _LINK.sub(link, text)


def write_if_changed(page: Path, text: str) -> None:
    """Write a page, unless it has this text: Sphinx reads what is newer again."""
    if not page.exists() or page.read_text("utf-8") != text:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, "utf-8")


def write_pages(app: Sphinx) -> None:
    """Write the pages of files outside `docs`."""
    for file in PAGES:
        page = page_of(file)
        text = with_site_links(file.read_text("utf-8"), file, page)
        if not text.startswith("# "):  # a part of another page
            text = f"# Table of {file.stem}\n\n{text}"
        write_if_changed(page, text)


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Turn the links of a page in `docs` into links of the site."""
    page = DOCS / f"{name}.md"
    if page.parent == DOCS:
        source[0] = with_site_links(source[0], page, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this extension."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", read_page)
    return {"parallel_read_safe": True}

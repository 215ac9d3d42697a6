"""The figures of the gallery: its examples are run, and save what the page shows."""

import contextlib
import os
import shutil
from pathlib import Path

from examples import run_page
from repository_links import DOCS, GENERATED, ROOT
from sphinx.application import Sphinx


def draw_figures(app: Sphinx) -> None:
    """Run the examples of the gallery in the folder of its figures."""
    folder = GENERATED / "gallery"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "reports").symlink_to(ROOT / "reports")
    with (
        contextlib.chdir(folder),
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stdout(nothing),
    ):
        run_page(DOCS / "gallery.md", {"__name__": "__main__"})
    (folder / "reports").unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this extension."""
    app.connect("builder-inited", draw_figures)
    return {"parallel_read_safe": True}

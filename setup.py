"""The commit of a checkout, written into what is built from it.

All else about the package is in pyproject.toml. An installed copy reads the file in
`mmbench.runner.provenance`.
"""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
COMMIT = Path("mmbench/commit.txt")
DIGITS = 12


def write_commit(folder: str) -> None:
    """Write the commit, with "+" where files have changes, unless this is no checkout.

    Args:
        folder: the folder that mmbench's files are copied to.
    """
    if git("ls-files", "--error-unmatch", "setup.py"):
        changed = git("status", "--porcelain", "--untracked-files=no")
        commit = git("rev-parse", f"--short={DIGITS}", "HEAD") + (
            "+" if changed else ""
        )
        (Path(folder) / COMMIT).write_text(f"{commit}\n", encoding="utf-8")


def git(*arguments: str) -> str:
    """Return what git prints about this folder; nothing where it fails."""
    words = ["git", "-C", str(HERE), *arguments]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


class BuildWithCommit(build_py):
    """Copy the modules, and write the commit beside them."""

    def run(self) -> None:
        """Run the command; an editable install has the checkout itself."""
        super().run()
        if not self.editable_mode:
            write_commit(self.build_lib)


class SourcesWithCommit(sdist):
    """Copy the sources, and write the commit beside them."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Run the command."""
        super().make_release_tree(base_dir, files)
        write_commit(base_dir)


setup(cmdclass={"build_py": BuildWithCommit, "sdist": SourcesWithCommit})

"""The tables of asv as a page, for readers who do not run it.

    python benchmarks/asv_page.py [commit] > reports/asv.md

Prints the output of `asv show` for the commit, or for the one that is checked out,
without the name of the machine and with fewer blanks. All benchmarks must have been
measured in one environment.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# asv fills three quarters of the width; without its padding that is below 88 columns.
WIDE = {**os.environ, "COLUMNS": "132"}
HEAD = """\
# What asv measured

At commit {commit}, with one thread of {cpu}. Each benchmark is described in
[benchmarks over commits](../docs/benchmarks.md). Less is better; "n/a" marks what does
not fit. This page is written by `python benchmarks/asv_page.py > reports/asv.md`.
"""


def main() -> None:
    """Print the page."""
    conf = json.loads(Path("asv.conf.json").read_text("utf-8"))
    commit = run(
        "git", "-C", conf["repo"], "rev-parse", *(sys.argv[1:] or ["HEAD"])
    ).strip()
    found = list(Path(conf["results_dir"]).glob(f"*/{commit[:8]}-*.json"))
    if len(found) != 1:
        sys.exit(
            f"Results of {commit[:8]} must be those of one environment; got "
            f"{len(found)}."
        )
    measured = json.loads(found[0].read_text("utf-8"))
    print(HEAD.format(commit=commit[:8], cpu=measured["params"]["cpu"]))
    shown = run(sys.executable, "-m", "asv", "show", commit)
    print("\n".join(sections(shown)), end="")


def run(*words: str) -> str:
    """Return what a command prints."""
    done = subprocess.run(words, env=WIDE, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode("utf-8")


def sections(shown: str) -> Iterator[str]:
    """Yield the lines of the page: each benchmark with its value or its table."""
    for block in shown.split("\n\n")[1:]:  # the first one names the commit
        if not block.strip():
            continue
        name, state, *rest = block.strip("\n").split("\n")
        name = name.partition(" [")[0]  # machine and environment follow
        if "failed" in state:
            sys.exit(f"{name} must have passed; got {state.strip()}.")
        table = [line[2:] for line in rest if not line.startswith("  started: ")]
        yield f"## {name}\n\n```text"
        yield from squeeze(table) if table else [state.strip()]
        yield "```\n"


def squeeze(table: list[str]) -> Iterator[str]:
    """Yield a table in which runs of blank columns are one column wide."""
    width = max(len(line) for line in table)
    rows = [line.ljust(width) for line in table if not is_separator(line)]
    blank = [all(row[at] == " " for row in rows) for at in range(width)]
    kept = [at for at in range(width) if not (blank[at] and (at == 0 or blank[at - 1]))]
    for line in table:
        if is_separator(line):
            yield line[0] * len(kept)
        else:
            yield "".join(line.ljust(width)[at] for at in kept).rstrip()


def is_separator(line: str) -> bool:
    """Return whether a line only separates rows of a table."""
    return not line.strip("=- ")


if __name__ == "__main__":
    main()

"""The examples of a page, run as a reader would type them.

The fenced blocks of a page run in order, in one empty folder, the Python blocks in one
namespace. A block that is not run says so, in a comment `# Not run by the tests: ` with
the reason. By language:

- `python`: run; but where its first line is `# name.py`, written to that file.
- `pycon`: run as a doctest, with what it prints.
- `sh`: each command is run and must succeed; `mmbench` is run in this process, where a
  command takes no seconds to start.
- `console`: commands after `$ `, with what they print; `...` stands for any text.
- `toml`: written to the file that its first line names, `# name.toml`.

Other languages, and none, are texts.
"""

import doctest
import linecache
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner
from markdown_it import MarkdownIt

NOT_RUN = "# Not run by the tests: "
LANGUAGES = ("python", "pycon", "sh", "console", "toml")
CHECK = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_FILE = re.compile(r"# ([\w-]+\.(?:py|toml))\n")


class Block(NamedTuple):
    """A fenced block of a page.

    Args:
        page: file of the page.
        line: line of the page on which its code begins.
        language: its language, the first word after the fence.
        code: its text.
    """

    page: Path
    line: int
    language: str
    code: str

    @property
    def reason(self) -> str:
        """Why it is not run; empty where it is."""
        return self.code.partition(NOT_RUN)[2].partition("\n")[0]

    @property
    def file(self) -> str:
        """The file to which it is written; empty for none."""
        found = _FILE.match(self.code)
        return found[1] if found else ""


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are examples.

    Raises:
        ValueError: naming a block of configuration that names no file.
    """
    tokens = MarkdownIt().parse(page.read_text("utf-8"))
    found = [
        Block(page, token.map[0] + 2, token.info.split()[0], token.content)
        for token in tokens
        if token.type == "fence" and token.map and token.info.strip()
    ]
    for one in found:
        if one.language == "toml" and not one.file:
            raise ValueError(
                f"{page}:{one.line}: a block of TOML must begin with a comment that "
                "names its file."
            )
    return [one for one in found if one.language in LANGUAGES]


def run_page(page: Path, namespace: dict[str, Any]) -> int:
    """Run the examples of a page in the current folder.

    Args:
        page: file of the page.
        namespace: the names that its Python blocks have, and define.

    Returns:
        The number of blocks that were run.

    Raises:
        Exception: of the first example that fails.
    """
    count = 0
    for block in blocks(page):
        if not block.reason:
            count += 1
            try:
                run_block(block, namespace)
            except BaseException as error:
                error.add_note(f"in the example at {page}:{block.line}")
                raise
    return count


def run_block(block: Block, namespace: dict[str, Any]) -> None:
    """Run one example in the current folder."""
    if block.file:
        Path(block.file).write_text(block.code, "utf-8")
    elif block.language == "python":
        # Tracebacks, and whoever asks for the source, find it under this name.
        name = f"<{block.page.name}, line {block.line}>"
        lines = block.code.splitlines(keepends=True)
        linecache.cache[name] = (len(block.code), None, lines, name)
        exec(compile(block.code, name, "exec"), namespace)  # noqa: S102
    elif block.language == "pycon":
        name = block.page.name
        test = doctest.DocTestParser().get_doctest(
            block.code, namespace, name, str(block.page), block.line - 1
        )
        doctest.DebugRunner(optionflags=CHECK).run(test, clear_globs=False)
        namespace |= test.globs
    elif block.language == "sh":
        for command in commands(block.code):
            run_command(command)
    else:
        for command, expected in transcripts(block.code):
            printed = run_command(command)
            if not doctest.OutputChecker().check_output(expected, printed, CHECK):
                raise AssertionError(
                    f"{command} must print\n{expected}\ngot\n{printed}"
                )


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a block, each on one line."""
    for line in text.replace("\\\n", " ").splitlines():
        if shlex.split(line, comments=True):
            yield line


def transcripts(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block and what it prints."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def run_command(command: str) -> str:
    """Run a command and return what it prints.

    Raises:
        AssertionError: when it does not exit with 0.
    """
    words = shlex.split(command, comments=True)
    if words[0] == "mmbench" and not any(word in "|&><;" for word in words):
        from mmbench.cli import main  # noqa: PLC0415  (pages without commands)

        done = CliRunner().invoke(main, words[1:], prog_name="mmbench")
        code, output = done.exit_code, done.output
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
    else:
        if words[0] == "python":
            command = f"{shlex.quote(sys.executable)}{command[len('python') :]}"
        ran = subprocess.run(  # noqa: S602  (a page's own commands)
            command, shell=True, text=True, capture_output=True, check=False
        )
        code, output = ran.returncode, ran.stdout + ran.stderr
    if code:
        raise AssertionError(f"{command} must exit with 0; got {code}:\n{output}")
    return output

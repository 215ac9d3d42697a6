"""Processes of Python that have torch and pandas from the start, but no mmbench.

To load these takes seconds; a fork of a process that has them takes none. It has its
own modules, variables, working folder and exit code, as any new process has.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class WarmPython:
    """A process that has loaded libraries, and forks for each call."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self,
        *words: object,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        check: bool = True,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python` with these words: a script, or `-c` and code, and arguments."""
        request = {
            "words": [str(word) for word in words],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ) if env is None else env,
        }
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code, output, errors = json.loads(self._process.stdout.readline())
        done = subprocess.CompletedProcess(words, code, output, errors)
        if check:
            assert not code, errors
        return done

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve() -> None:
    """Answer requests until the input ends."""
    import importlib
    import tempfile

    for name in ("pandas", "pyarrow.parquet", "scipy.linalg", "torch"):
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as of:
            child = os.fork()
            if not child:
                run(request, output.fileno(), of.fileno())
            _, status = os.waitpid(child, 0)
            texts = [file.seek(0) or file.read() for file in (output, of)]
        answer = [os.waitstatus_to_exitcode(status), *texts]
        print(json.dumps(answer), flush=True)


def run(request: dict[str, Any], output: int, errors: int) -> None:
    """Run what is asked in this process, and end it."""
    import atexit
    import traceback

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    code = 0
    try:
        run_main(request["words"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_main(words: Sequence[str]) -> None:
    """Run a script or code as the module `__main__`."""
    from importlib.machinery import SourceFileLoader
    from types import ModuleType

    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    if words[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *words[2:]], ""
        exec(compile(words[1], "<string>", "exec"), vars(main))
        return
    path = words[0]
    sys.argv, sys.path[0] = list(words), str(Path(path).resolve().parent)
    main.__file__, main.__loader__ = path, SourceFileLoader("__main__", path)
    exec(compile(Path(path).read_bytes(), path, "exec"), vars(main))


if __name__ == "__main__":
    serve()

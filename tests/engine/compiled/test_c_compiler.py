"""The C compiler: what is compiled beside this process."""

import subprocess
from pathlib import Path

import pytest

from mmbench.engine.compiled import c_compiler
from mmbench.engine.compiled.c_compiler import LibraryAhead, compile_functions

LIBRARY = '__attribute__((visibility("default"))) int seven(void) { return 7; }\n'


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that this process waits for, and no library compiled before."""
    given = []
    monkeypatch.setattr(c_compiler, "_libraries", {})
    run = c_compiler._run
    monkeypatch.setattr(
        c_compiler, "_run", lambda command: (given.append(command), run(command))
    )
    return given


@pytest.mark.parametrize("ahead", [True, False])
def test_a_library_is_compiled_once(calls: list[list[str]], ahead: bool) -> None:
    """Beside this process, or when it is first asked for."""
    if ahead:
        with LibraryAhead(LIBRARY) as library:
            library.finish()
        assert not Path(library._folder.name).exists()
    for _ in range(2):
        assert compile_functions("", ("-O0",), LIBRARY).seven() == 7
    assert sum("-c" in command for command in calls) == (not ahead)
    assert len(calls) == 2 + (not ahead)


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
def test_without_a_compiler_nothing_is_there(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    """Whoever asks for the library learns so."""
    monkeypatch.setenv("CC", compiler)
    with LibraryAhead(LIBRARY) as library:
        library.finish()
    with pytest.raises((OSError, subprocess.CalledProcessError)):
        compile_functions("", ("-O0",), LIBRARY)


def test_without_a_folder_for_its_files_nothing_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where only the store may be written to."""

    def fail(*_: object, **_options: object) -> None:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(c_compiler.tempfile, "mkdtemp", fail)
    with LibraryAhead(LIBRARY) as library:
        library.finish()
    assert LIBRARY not in c_compiler._libraries


@pytest.mark.parametrize("waits", [False, True])
def test_a_compiler_that_is_not_waited_for_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waits: bool
) -> None:
    """Where the command fails before, or it takes too long; its folder goes, too."""
    monkeypatch.setattr(c_compiler, "COMPILING_SECONDS", 0.1)
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\nexec sleep 1000\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with LibraryAhead(LIBRARY) as library:
        folder = Path(library._folder.name)
        assert folder.exists()
        if waits:
            library.finish()
    assert library._process.returncode < 0
    assert not folder.exists()

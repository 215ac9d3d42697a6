"""The test tree mirrors the package: a module's tests are where its name says.

`mmbench/store/lease.py` is tested in `tests/store/test_lease.py`. A leading underscore
is dropped, and an `__init__` is tested in `test_init.py`. Tests that are about no one
module are in one of the folders below; tests of the whole package are at the top.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "mmbench"

# Folders of tests that are about no one module.
UNMIRRORED = frozenset(
    {
        "benchmarks",
        "contracts",
        "docs",
        "end_to_end",
        "golden",
        "helpers",
        "slow",
        "theory",
    }
)
# Tests at the top that are about the whole package.
WHOLE = frozenset({"test_cuda.py", "test_faults.py", "test_fuzz.py", "test_imports.py"})
# Tests of the methods that claims name, which claims name in turn.
OF_METHODS = Path("studies/test_second_implementations.py")


def mirror_of(module: Path) -> Path:
    """Return the test file of a module, both relative to their roots."""
    name = "init" if module.stem == "__init__" else module.stem.removeprefix("_")
    return module.with_name(f"test_{name}.py")


def check_layout(tests: Iterable[Path], modules: Iterable[Path]) -> None:
    """Check that every test file mirrors a module or is in a folder of its own kind.

    Args:
        tests: test files, relative to `tests/`.
        modules: modules, relative to `mmbench/`.

    Raises:
        AssertionError: naming the first file that mirrors no module.
    """
    mirrors = {mirror_of(module) for module in modules}
    for path in sorted(tests):
        known = path.parts[0] in UNMIRRORED | WHOLE or path in mirrors | {OF_METHODS}
        assert known, (
            f"tests/{path} must mirror a module mmbench/{path.parent}/"
            f"[_]{path.stem.removeprefix('test_')}.py; got no such module. "
            "Tests of several modules belong in tests/end_to_end/."
        )


def test_every_test_file_mirrors_a_module() -> None:
    """Every test file outside the folders above has its module."""
    check_layout(
        (path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")),
        (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")),
    )


@pytest.mark.parametrize(
    "path", ["store/test_leases.py", "engine/test_block.py", "test_store.py"]
)
def test_a_file_that_mirrors_no_module_is_found(path: str) -> None:
    """A wrong name, a wrong folder and a test at the top are each refused."""
    modules = [Path("store/lease.py"), Path("engine/compiled/block.py")]
    with pytest.raises(AssertionError, match=f"tests/{path} must mirror a module"):
        check_layout([Path(path)], modules)


def test_names_of_mirrors() -> None:
    """Private modules and packages have mirrors without underscores."""
    mirrors = {
        "store/lease.py": "store/test_lease.py",
        "cli/_progress.py": "cli/test_progress.py",
        "cli/__init__.py": "cli/test_init.py",
        "api.py": "test_api.py",
    }
    for module, test in mirrors.items():
        assert mirror_of(Path(module)) == Path(test)

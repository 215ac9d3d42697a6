"""What all tests share: one thread, and shapes of tensors checked at every call."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from typechecker import install_import_hook

if TYPE_CHECKING:
    from warm_python import WarmPython

PACKAGE = Path(__file__).parents[1] / "mmbench"

# Before anything imports mmbench, or its functions would go unchecked. Modules without
# tensors are left to mypy: checking each of their calls doubles the time of the tests.
install_import_hook(
    [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted(PACKAGE.rglob("*.py"))
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    ]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--regenerate` writes the golden trajectories anew."""
    parser.addoption(
        "--regenerate", action="store_true", help="write the golden trajectories anew"
    )


def pytest_collection_finish() -> None:
    """Leave what is loaded by now, half a million objects, to no garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """One intra-op thread, as in the engine."""
    torch.set_num_threads(1)


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether golden trajectories are to be written anew."""
    return bool(request.config.getoption("--regenerate"))


@pytest.fixture(scope="session")
def warm_python() -> Iterator["WarmPython"]:
    """Run code in another process, which has torch and pandas from the start."""
    from warm_python import WarmPython

    python = WarmPython()
    yield python
    python.close()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Return an empty store."""
    from mmbench.store.folder import Store

    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the results of the report are computed."""
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="session")
def results(report_folder: Path) -> Any:
    """Return results of toys, a GAN of points, one of images, and a broken cell."""
    from report_results import compute_results

    return compute_results(report_folder)

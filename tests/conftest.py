"""What all tests share: one thread, and shapes and types checked at every call."""

import pytest
import torch
from jaxtyping import install_import_hook

# Before anything imports mmbench, or its functions would go unchecked.
install_import_hook("mmbench", "typechecker.typechecker")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--regenerate` writes the golden trajectories anew."""
    parser.addoption(
        "--regenerate", action="store_true", help="write the golden trajectories anew"
    )


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """One intra-op thread, as in the engine."""
    torch.set_num_threads(1)


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether golden trajectories are to be written anew."""
    return bool(request.config.getoption("--regenerate"))

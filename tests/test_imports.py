"""Start-up is light, and third-party packages stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mmbench

HEAVY = {
    "torch",
    "numpy",
    "pandas",
    "matplotlib",
    "seaborn",
    "sklearn",
    "scipy",
    "pyarrow",
    "jaxtyping",
    "rich",
}
LIGHT = {
    "import mmbench": "import mmbench",
    "mmbench --version": "from mmbench.cli import main; main(['--version'])",
    "mmbench --help": "from mmbench.cli import main; main(['--help'])",
    "mmbench list": "from mmbench.cli import main; main(['list'])",
    "mmbench list --json": "from mmbench.cli import main; main(['list', '--json'])",
}
MAX_MODULES = 300  # the standard library's included; each takes a millisecond or so
PACKAGE = Path(mmbench.__file__).parent


@pytest.mark.parametrize("what", LIGHT)
def test_light(what: str) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        + LIGHT[what]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "mmbench" in loaded
    assert not loaded & HEAVY
    assert len(loaded) < MAX_MODULES


def test_stores_are_read_without_torch() -> None:
    """A second or two of each verb that lists, checks or copies stored cells."""
    code = "import sys, mmbench.store.folder; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "mmbench.store.folder" in loaded
    assert not loaded & {"torch", "pandas"}


def test_the_control_is_heavy() -> None:
    """The test above could fail: what it looks for appears when a name is used."""
    code = "import sys, mmbench; mmbench.Algorithm; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "torch" in done.stdout.split()


def test_the_end_looks_for_no_garbage() -> None:
    """When a command ends, all that there is has been taken from the collector."""
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count(), len(gc.get_objects())))\n"
        "from mmbench.cli import main\n"
        "assert gc.get_freeze_count() == 0\n"
        "main(['--version'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    frozen, watched = map(int, done.stdout.split()[-2:])
    assert watched < 100
    assert frozen > 1000


def test_modules_load_without_whole_looks_for_garbage() -> None:
    """Of which each would look at all objects of torch; young garbage is found."""
    code = (
        "import gc, mmbench.cli, torch\n"
        "print(*(looks['collections'] for looks in gc.get_stats()))\n"
        "print(gc.isenabled())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    *looks, enabled = done.stdout.split()
    youngest, _, oldest = map(int, looks)
    assert youngest > 100
    assert oldest == 0
    assert enabled == "True"


# Third-party packages that only some rooms may know; a room is a file or a folder.
HOMES = {
    "click": ("cli",),
    "rich": ("cli",),
    "seaborn": ("analysis",),
    "matplotlib": ("analysis",),
    "jinja2": ("analysis",),
    "sklearn": ("tasks", "metrics"),
    "pooch": ("tasks", "metrics"),
}


def test_third_party_packages_stay_in_their_rooms() -> None:
    strays = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                if room not in HOMES.get(top, (room,)):
                    strays.append(f"{path.relative_to(PACKAGE)} imports {top}")
    assert strays == []

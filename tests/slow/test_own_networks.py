"""Networks as one writes them in PyTorch, under three methods, and run again."""

import subprocess
import sys
from pathlib import Path

import pytest
from images import has_cifar10

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
EXAMPLE = EXAMPLES / "own_networks.py"
METHODS = (
    "adam = gda[direction=adam,step_size=0.0002]",
    "eg = extragradient[direction=adam,step_size=0.0002]",
    "acgd[step_size=0.0002]",
)


def mmbench(folder: Path, *words: str) -> str:
    """Run a command, and return what it printed."""
    command = [sys.executable, "-m", "mmbench", *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["dcgan", "resnet", "robust"])
def test_networks_run_and_run_again_to_the_same_bits(tmp_path: Path, name: str) -> None:
    """Convolutions, batch and spectral norm, dropout, embeddings, and a projection."""
    if not has_cifar10():
        pytest.skip("The example reads MNIST and CIFAR10, which are not at hand.")
    task = f"{EXAMPLE}:{name}"
    methods = [word for method in METHODS for word in ("-a", method)]
    few = ("--seeds", "2", "--steps", "3", "--records", "2", "--store", "s")
    printed = mmbench(tmp_path, "run", "-t", task, *methods, *few)
    assert "3     6         6" in printed  # cells, runs, finished
    again = mmbench(tmp_path, "verify", "s", "--outside", task)
    assert "3 bit-identical" in again


def test_a_script_compares_eight_methods_on_a_gan_of_its_own(tmp_path: Path) -> None:
    """From the script to a report."""
    script = [sys.executable, str(EXAMPLES / "own_gan.py")]
    printed = subprocess.run(
        script, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert printed.count("gda") >= 3
    mmbench(tmp_path, "report", "--store", "own-gan", "--out", "page")
    assert (tmp_path / "page" / "index.html").exists()

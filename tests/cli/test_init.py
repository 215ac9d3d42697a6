"""The command line as a whole: help, version, Ctrl-C and bad input."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from command_line import GRID, TINY, Cli

from mmbench.cli import VERBS


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also in a background job, which would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_quiet(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("mmbench.cli.list.summaries", interrupted)
    result = cli("list")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cli: Cli, verb: str) -> None:
    result = cli(verb, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_version(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("mmbench 0.")


def refused(*words: str, message: str) -> pytest.param:
    return pytest.param(words, message, id=" ".join(words)[:60])


RUN = ("run", "-t", "bilinear", "-a")


BAD = [
    # names
    refused("run", "smok", message="Unknown suite 'smok'. Did you mean 'smoke'?"),
    refused(
        "run", "bilinear", message="'bilinear' is one of the tasks, which -t takes"
    ),
    refused(
        "run", "gda[k=2]", message="'gda' is one of the algorithms, which -a takes"
    ),
    refused("run", "none.toml", message="No such file"),
    refused("run", "-t", "bilinaer", "-a", "gda", message="Did you mean 'bilinear'?"),
    refused(*RUN, "extragradent", message="Did you mean 'extragradient'?"),
    refused(*RUN, "gda", "-m", "distanse", message="Did you mean 'distance'?"),
    refused(*RUN, "gda[stepsize=1]", message="Did you mean 'step_size'?"),
    refused(*RUN, "gda[direction=adm]", message="Did you mean 'adam'?"),
    refused("show", "extragradnt", message="Did you mean 'extragradient'?"),
    refused("show", "smoek", message="Did you mean 'smoke'?"),
    refused("lst", message="Did you mean 'list'?"),
    refused("list", "task", message="'tasks'"),
    refused("run", "smoke", "--sed", "3", message="--seeds"),
    refused("features", "train", "cifar", "--out", "x", message="'mnist', 'digits'"),
    # values
    refused(
        *RUN, "gda[step_size=-1]", message="GDA.step_size must be a number above 0"
    ),
    refused(*RUN, "gda[step_size=fast]", message="got 'fast'"),
    refused(*RUN, "gda[step_size=(1,2,3)]", message="got (1, 2, 3)"),
    refused(
        *RUN, "alternating_gda[k=1.5]", message="must be a whole number at least 1"
    ),
    refused(*RUN, "gda[step_size=1", message="a ']' is missing"),
    refused(*RUN, "gda[step_size]", message="has no value"),
    refused("run", "-t", "bilinear[dim=0]", "-a", "gda", message="got 0"),
    refused(*RUN, "gda", "--seeds", "0", message="0 is not in the range"),
    refused(*RUN, "gda", "--steps", "many", message="not a valid integer"),
    refused(*RUN, "gda", "--dtype", "float16", message="'float32', 'float64'"),
    refused(*RUN, "gda", "--device", "tpu", message="'auto', 'cpu', 'cuda'"),
    refused("run", message="-t and -a is missing"),
    refused("run", "-t", "bilinear", message="-a is missing"),
    refused("run", "--seeds", "3", message="A suite, or -t TASK and -a ALGORITHM"),
    refused("run", "smoke", "-a", "gda", message="-a must not be given with a suite"),
    refused(*RUN, "x = gda", "-a", "x = omd", message="Labels must be unique"),
    # misfits
    refused(*RUN, "gda", "-m", "worst[of=gap]", message="gives; known: distance."),
    refused(*RUN, "gda", "-m", "mode_coverage", message="generator can be sampled"),
    refused(
        *RUN[:2],
        "dirac_gan[loss=nonsaturating]",
        "-a",
        "cgd",
        message="cgd needs a zero-sum game",
    ),
    # classes from outside
    refused(*RUN, ":Mine", message="':Mine' must read like path/to/file.py:Class"),
    refused(*RUN, "mine.py:", message="'mine.py:' must read like"),
    refused(*RUN, "none.py:Mine", message="No such file"),
    refused(*RUN, "no_such_module:Mine", message="No module named"),
    refused(*RUN, "mine.py:Mien", message="Did you mean 'Mine'?"),
    refused(*RUN, "mine.py:Mine[j=1]", message="Unknown parameter of mine.py:Mine 'j'"),
    refused(*RUN, "mine.py:Mine[k=x]", message="Mine.k must be a whole number"),
    refused(*RUN, "mine.py:Stranger", message="subclass of mmbench's Algorithm"),
    refused(*RUN, "mine.py:Abstract", message="must define cost, step"),
    refused(*RUN, "raises.py:Mine", message="it raised ValueError: not today"),
    refused(*RUN, "exits.py:Mine", message="SystemExit: bye"),
    refused(*RUN, "wrong.py:Mine", message="SyntaxError"),
    refused(*RUN, "mine.py:Picky", message="RuntimeError: never good enough"),
    refused(*RUN, "mine.py:Priceless", message="ZeroDivisionError"),
    refused("show", "mine.py:Stranger", message="must be a subclass of one of"),
    # places
    refused(*RUN, "gda", "--store", "mine.py", message="--store must be a folder"),
    refused(*RUN, "gda", "--store", "mine.py/in", message="--store must be a folder"),
    refused(*RUN, "gda", "--report", "mine.py", message="--report must be a folder"),
    refused("results", message="--store must be a folder with results"),
    refused("results", "--store", "none", message="there is none at none"),
    refused("report", "smoke", "--store", "none", message="there is none at none"),
    # data
    refused("run", "-t", "mnist01", "-a", "gda", "--data-dir", "none", message="MNIST"),
    refused(
        "features", "train", "mnist", "--out", "x", "--data-dir", "none", message="of M"
    ),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_bad_input_is_refused(cli: Cli, words: tuple[str, ...], message: str) -> None:
    result = cli(*words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    sentence = result.stderr.strip().splitlines()
    # click's own refusals have two lines about usage before the sentence.
    assert len(sentence) == 1 or sentence[0].startswith("Usage:")
    assert not list(Path().glob("**/*.parquet"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda_is_refused(cli: Cli) -> None:
    result = cli("run", *GRID, "--device", "cuda")
    assert result.exit_code == 2
    assert "no CUDA device; use cpu or auto" in result.stderr


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"\x1f\x8b\x08 truncated"), "SHA-256"),
        (lambda path: path.mkdir(), "must be a file that can be read"),
        (lambda path: path.symlink_to("nowhere"), "must be a file that can be read"),
    ],
    ids=["truncated", "folder", "dangling"],
)
def test_a_bad_data_file_is_refused(
    cli: Cli, folder: Path, make: Callable[[Path], object], message: str
) -> None:
    make(folder / "train-images-idx3-ubyte.gz")
    words = ("run", "-t", "bilinear", "-t", "mnist01", "-a", "gda", *TINY)
    result = cli(*words, "--data-dir", str(folder))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "train-images-idx3-ubyte.gz" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    # Bilinear needs no data, yet nothing was computed.
    assert not list(Path().glob("**/*.parquet"))

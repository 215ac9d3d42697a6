"""The command line as a whole: help, version, Ctrl-C and bad input."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from command_line import GRID, TINY, Cli

from mmbench.cli import VERBS
from mmbench.core.user_code import TRACEBACK_VARIABLE


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
    refused(
        *RUN,
        "gda",
        "--seeds",
        "0",
        message="at least 1; got '0'.",
    ),
    refused(
        *RUN,
        "gda",
        "--steps",
        "many",
        message="at least 1; got 'many'.",
    ),
    refused(*RUN, "gda", "--dtype", "float16", message="'float32', 'float64'"),
    refused(*RUN, "gda", "--device", "tpu", message="'auto', 'cpu', 'cuda'"),
    refused("run", message="A suite must be named, or a grid given by -t TASK and -a"),
    refused("run", "-t", "bilinear", message="-a ALGORITHM is missing"),
    refused("run", "-a", "gda", message="-t TASK is missing"),
    refused("run", "--seeds", "3", message="A suite must be named"),
    refused("run", "smoke", "-a", "gda", message="-a must not be given with a suite"),
    refused(*RUN, "x = gda", "-a", "x = omd", message="Labels must be unique"),
    # slips of a first hour
    refused("smoke", message="'smoke' is no command; write `mmbench run smoke`."),
    refused("cgd", message="write `mmbench show cgd`."),
    refused("own.toml", message="write `mmbench run own.toml`."),
    refused(*RUN, "gda", "cgd", message="got 'cgd' without one. Write -a cgd."),
    refused(*RUN, "gda", "mine.py:Mine", message="got 'mine.py:Mine' without one. Wri"),
    refused("run", "-t", "bilinear,quadratic", "-a", "gda", message="each spec by its"),
    refused(*RUN, "gda cgd", message="must be one algorithm; give each by itself"),
    refused(*RUN, "mine.py", message="as in mine.py:Mine; it has Mine, Moody, Once"),
    refused(*RUN, "none.py", message="'none.py' must be a Python file; got No such fi"),
    refused(*RUN, "wrong.py", message="'wrong.py' must be Python; got invalid syntax"),
    refused("run", "mine.py", message="a Python file, whose classes -t, -a and -m ta"),
    refused("run", "distance", message="one of the metrics, which -m takes"),
    refused(*RUN, "gda(step_size=0.1)", message="parameters stand in square brackets"),
    refused(*RUN, "gda=0.1", message="parameters stand in square brackets"),
    refused(*RUN, "gda[0.1]", message="write gda[name=0.1] with the name of a param"),
    refused(*RUN, "gda", "--seeds", "1e9", message="got '1e9'. Write 1000000000."),
    refused(*RUN, "gda", "--seeds", "1.5", message="a whole number of at least 1; go"),
    refused(*RUN, "gda", "--store", "", message="must be a path; got ''."),
    refused(*RUN, "gda", "--data-dir", "", message="must be a path; got ''."),
    refused("show", "CGD", message="Did you mean 'cgd'?"),
    refused("show", "extra", message="Did you mean 'extragradient'?"),
    refused("show", "12ab34cd", message="reads like the key of a stored cell"),
    refused("show", "mine.py", message="as in mine.py:Mine"),
    # misfits
    refused(*RUN, "gda", "-m", "worst[of=gap]", message="gives; known: distance."),
    refused(*RUN, "gda", "-m", "mode_coverage", message="generator can be sampled"),
    refused(
        *RUN[:2],
        "dirac_gan[loss=nonsaturating]",
        "-a",
        "svre",
        message="svre needs a game whose losses are means",
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
    refused(
        *RUN,
        "raises.py:Mine",
        message="raises.py, line 1, raised ValueError: not today",
    ),
    refused(*RUN, "exits.py:Mine", message="SystemExit: bye"),
    refused(*RUN, "wrong.py:Mine", message="SyntaxError"),
    refused(
        *RUN, "mine.py:Picky", message="mine.py, line 54, raised RuntimeError: nev"
    ),
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


@pytest.mark.parametrize("flags", [(), ("--timeout", "60")])
def test_tracebacks_are_printed_on_request(
    cli: Cli, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """Of errors while running, in a child process too, and of those before."""
    grid = ("run", "-t", "bilinear", *TINY, *flags)
    plain = cli(*grid, "-a", "mine.py:Moody")
    assert plain.exit_code == 1
    assert "ValueError in mine.py, line 36: I [will] not step" in plain.stderr
    assert "Traceback" not in plain.stderr
    whole = cli(*grid, "-a", "mine.py:Moody", "--traceback")
    assert "ValueError in mine.py, line 36: I [will] not step" in whole.stderr
    printed = whole.stderr + capfd.readouterr().err  # a child has its own
    assert "Traceback (most recent call last)" in printed
    assert "in step\n    raise ValueError" in printed
    before = cli(*grid, "-a", "mine.py:Picky", "--traceback")
    assert before.exit_code == 2
    assert "Traceback (most recent call last)" in before.stderr
    assert TRACEBACK_VARIABLE not in os.environ


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

"""A process that has loaded torch and forks processes that compute cells.

To load torch takes a second; a fork of this process has it at once. It computes nothing
itself, and no thread of it goes on when it forks, so that its forks find no lock held.
It ends when the process that asks it has ended.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import torch

from mmbench.engine.compiled import c_draws, c_layers, c_starts
from mmbench.engine.compiled.decompositions import decompositions
from mmbench.engine.run_cell import arithmetic
from mmbench.runner import child_process, guardian
from mmbench.runner.guarded_process import PIPES, PREPARED, encode

END_SECONDS = 0.5  # for guardians that end, before this process does


def main() -> None:
    """At each request, fork the guardian of a process that computes."""
    gc.freeze()  # modules stay, and no collection writes to what forks share
    # The end of the requests ends this process, once it has loaded.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    # The threads of some libraries, which see to forks.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded")
    this, requests = os.getpid(), socket.socket(fileno=0)
    while True:
        message, pipes, _, _ = socket.recv_fds(requests, 1, PIPES)
        if not message:
            break
        if message == PREPARED:
            _prepare()
        if not os.fork():
            requests.detach()
            _guard(this, *pipes)
        for pipe in pipes:
            os.close(pipe)
    deadline = time.monotonic() + END_SECONDS
    while _reap() and time.monotonic() < deadline:
        time.sleep(END_SECONDS / 100)
    os._exit(0)


def serve(requests: socket.socket) -> NoReturn:
    """Do as `main` does, in a fork of a process that has loaded torch.

    Args:
        requests: where its requests come from.
    """
    try:
        os.setsid()  # Ctrl-C is for the process that was forked
        os.dup2(requests.fileno(), 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        for path in list(Path("/proc/self/fd").iterdir()):
            if int(path.name) > 2:
                with contextlib.suppress(OSError):  # that of the listing
                    os.close(int(path.name))
        if not sys.flags.safe_path:
            sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        main()
    finally:
        os._exit(1)


@cache
def _prepare() -> None:
    """Load and compile what forks would, each for itself, for steps of networks.

    A compiler and what is loaded work beside each other, since either waits.

    Raises:
        Exception: of any type, when something cannot be loaded.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the end of a compiler is not ours
    with ThreadPoolExecutor() as beside:
        works = c_layers.compiled_layers, _load_for_traces
        begun = [beside.submit(work) for work in works]
        with arithmetic(torch.device("cpu")):
            c_draws.compiled_draw()
            c_starts.compiled_draw()
    for work in begun:
        work.result()
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    _reap()


def _load_for_traces() -> None:
    """Load what traces of steps do, which takes a quarter of a second."""
    import_module("torch.fx.experimental.symbolic_shapes")
    decompositions()


def _reap() -> bool:
    """Take the ends of guardians, so that their time counts; return if any is left."""
    with contextlib.suppress(ChildProcessError):  # there is none
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def _guard(server: int, requests: int, answers: int, end: int) -> None:
    """Guard a process that computes; tell who guards it, and how it ends.

    Args:
        server: id of the process that forked this one.
        requests, answers: pipes from which the process reads and to which it writes.
        end: pipe for the id of this process and the status of the other.
    """
    os.setsid()  # Ctrl-C is for the process that asks
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for descriptor, pipe in enumerate((requests, answers)):
        os.dup2(pipe, descriptor)
        os.close(pipe)
    os.write(end, encode(os.getpid()))

    def compute() -> None:
        os.close(end)
        child_process.main()

    status = guardian.guard(compute, server)
    with contextlib.suppress(BrokenPipeError):
        os.write(end, encode(status))
    os._exit(0)


if __name__ == "__main__":
    main()

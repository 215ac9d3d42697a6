"""A child process that computes cells for its parent, which may end it at any time.

It reads requests from its standard input and answers on what was its standard output.
A message is a mark, its length in eight bytes, and its content as `pack_message` makes
it; by the mark, what a cell writes to every open file is told from an answer.
What a cell prints goes to standard error. When the input ends, so does the process, be
it in the middle of a cell: no child outlives its parent.
"""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import torch

from mmbench.core.checkpoint import pack_message, unpack_message
from mmbench.core.code_files import is_of_mmbench
from mmbench.core.description import nested
from mmbench.core.errors import CodeError
from mmbench.core.placement import Placement
from mmbench.core.serialization import from_json
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.store.folder import CheckpointFile

_MARK = b"mmbench\0"  # with which a message begins
_HEADER_BYTES = len(_MARK) + 8
_BLOCK_BYTES = 2**20  # read at once
HELD_SECONDS = 0.05  # for which progress is held, so that reports are sent together
MAX_MESSAGE_BYTES = 2**40  # what is said to be longer is no message


class MessageError(Exception):
    """What was read from a pipe is no message."""


def encode(message: Any) -> bytes:
    """Return a message as it is sent."""
    content = pack_message(message)
    return _MARK + len(content).to_bytes(_HEADER_BYTES - len(_MARK), "big") + content


class MessageBuffer:
    """Bytes read from a pipe, of which messages are taken when they are whole."""

    def __init__(self) -> None:
        self._content = bytearray()

    def add(self, block: bytes) -> None:
        """Append what was read."""
        self._content += block

    def take(self) -> Any:
        """Remove and return the first message; None while it is not whole.

        Raises:
            MessageError: when the bytes are no message.
        """
        mark = self._content[: len(_MARK)]
        if not _MARK.startswith(mark):
            raise MessageError
        if len(self._content) < _HEADER_BYTES:
            return None
        length = int.from_bytes(self._content[len(_MARK) : _HEADER_BYTES], "big")
        if length > MAX_MESSAGE_BYTES:
            raise MessageError
        end = _HEADER_BYTES + length
        if len(self._content) < end:
            return None
        message = unpack_message(self._content[_HEADER_BYTES:end])
        del self._content[:end]
        if message is None:
            raise MessageError
        return message


def make_request(
    document: str, placement: Placement, starts: torch.Tensor | None, slot: Path | None
) -> dict[str, Any]:
    """Return the request to compute a cell.

    Args:
        document: the cell, as `to_json` serialises it.
        placement: where it is computed.
        starts: where its runs start, shape (runs, dim), if not where the task says.
        slot: path of its checkpoint.
    """
    return {
        "cell": document,
        "device": str(placement.device),
        "data_dir": None if placement.data_dir is None else str(placement.data_dir),
        "compiled": placement.compiled,
        "width": placement.width,
        "starts": starts,
        "slot": None if slot is None else str(slot),
    }


def main() -> None:
    """Compute cells until the parent has gone."""
    gc.freeze()  # modules stay: to look at them all takes a tenth of a second each time
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    answer = partial(_answer, answers, os.getpid())
    progress = _ProgressMessages(answer)
    threading.Thread(target=progress.send_in_time, daemon=True).start()
    answer({"ready": True})
    while True:
        _compute(requests.get(), answer, progress)


def _read_requests(requests: "SimpleQueue[dict[str, Any]]") -> None:
    """Queue the requests; end the process when the input has ended."""
    received = MessageBuffer()
    while block := os.read(sys.stdin.fileno(), _BLOCK_BYTES):
        received.add(block)
        while (request := received.take()) is not None:
            requests.put(request)
    os._exit(0)


def _compute(
    request: dict[str, Any],
    answer: Callable[[Any], None],
    progress: "_ProgressMessages",
) -> None:
    placement = Placement(
        device=torch.device(request["device"]),
        data_dir=request["data_dir"] and Path(request["data_dir"]),
        compiled=request["compiled"],
        width=request["width"],
    )
    starts = request["starts"]
    try:
        cell = from_json(request["cell"])
        # Code of others may end the process at any step.
        progress.begin(may_hold=all(is_of_mmbench(type(one)) for one in nested(cell)))
        trajectory = run_cell(
            cell,
            placement,
            progress,
            None if starts is None else lambda: starts,
            request["slot"] and CheckpointFile(Path(request["slot"])),
        )
    except CodeError as error:
        ending: dict[str, Any] = {"code_error": str(error)}
    else:
        ending = {"trajectory": trajectory.snapshot()}
    progress.send()
    answer(ending)


class _ProgressMessages:
    """Sends the steps made, with what is new in the recording of the current chunk.

    Reports within `HELD_SECONDS` may be sent together, for to send one takes longer
    than many a step. They are sent in time even where the computation hangs.

    Args:
        answer: sends a message.
    """

    def __init__(self, answer: Callable[[Any], None]) -> None:
        self._answer, self._lock = answer, threading.Lock()
        self._may_hold = False
        self._recording: Recording | None = None
        self._sent = 0  # records of this recording
        self._run_steps, self._is_unsent = 0, False
        self._late: Recording | None = None  # with the records that were not sent
        self._is_held = threading.Event()

    def begin(self, *, may_hold: bool) -> None:
        """Begin with another cell, whose messages may be held or not."""
        self._may_hold, self._recording = may_hold, None

    def __call__(self, run_steps: int, recording: Recording | None) -> None:
        """Send, now or soon, the steps made since the last call, and the records."""
        with self._lock:
            if recording is not self._recording:
                self._send()
                self._recording, self._sent = recording, 0
            self._run_steps += run_steps
            self._late = recording.since(self._sent) if recording else None
            self._is_unsent = True
            if self._may_hold and recording and not recording.ended:
                self._is_held.set()
            else:
                self._send()

    def send(self) -> None:
        """Send what is held."""
        with self._lock:
            self._send()

    def send_in_time(self) -> None:
        """Send whatever is held for long; for a thread of its own."""
        while True:
            self._is_held.wait()
            time.sleep(HELD_SECONDS)
            self.send()

    def _send(self) -> None:
        if self._is_unsent:
            news = None
            if self._late:
                news = self._late.snapshot() | {"first": self._sent}
                self._sent += len(self._late.steps)
            self._answer({"run_steps": self._run_steps, "news": news})
            self._run_steps, self._is_unsent = 0, False
            self._is_held.clear()


def _answer(answers: IO[bytes], computing: int, message: Any) -> None:
    """Send a message to the parent; if it has gone, end the process silently.

    Args:
        answers: the pipe to the parent.
        computing: the id of the process that computes; a fork of it that a cell made
            and that goes on as it does is ended.
        message: nested values.
    """
    if os.getpid() != computing:
        os._exit(0)
    try:
        answers.write(encode(message))
        answers.flush()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()

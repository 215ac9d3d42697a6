"""A child process that computes cells for its parent, which may end it at any time.

It reads requests from its standard input and answers on what was its standard output.
A message is its length in eight bytes, then its content as `checkpoint.pack` makes it.
What a cell prints goes to standard error. When the input ends, so does the process, be
it in the middle of a cell: no child outlives its parent.
"""

import os
import sys
import threading
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import torch

from mmbench.core.checkpoint import pack, unpack
from mmbench.core.errors import CodeError
from mmbench.core.placement import Placement
from mmbench.core.serialization import from_json
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.store.folder import CheckpointFile

_LENGTH_BYTES = 8  # of a message's length


def send(pipe: IO[bytes], message: Any) -> None:
    """Write one message."""
    content = pack(message)
    pipe.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Read the next message; None when the other side has gone or was cut off."""
    length = _read_exactly(pipe, _LENGTH_BYTES)
    if not length:
        return None
    return unpack(_read_exactly(pipe, int.from_bytes(length, "big")))


def _read_exactly(pipe: IO[bytes], count: int) -> bytes:
    """Read `count` bytes, or what comes before the end, by several reads."""
    content = bytearray()
    while len(content) < count and (block := pipe.read(count - len(content))):
        content += block
    return bytes(content)


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
        "starts": starts,
        "slot": None if slot is None else str(slot),
    }


def main() -> None:
    """Compute cells until the parent has gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    _answer(answers, {"ready": True})
    while True:
        _compute(requests.get(), answers)


def _read_requests(requests: "SimpleQueue[dict[str, Any]]") -> None:
    """Queue the requests; end the process when the input has ended."""
    while (request := receive(sys.stdin.buffer)) is not None:
        requests.put(request)
    os._exit(0)


def _compute(request: dict[str, Any], answers: IO[bytes]) -> None:
    placement = Placement(
        device=torch.device(request["device"]),
        data_dir=request["data_dir"] and Path(request["data_dir"]),
        compiled=request["compiled"],
    )
    starts = request["starts"]
    try:
        trajectory = run_cell(
            from_json(request["cell"]),
            placement,
            partial(_report_progress, answers),
            None if starts is None else lambda: starts,
            request["slot"] and CheckpointFile(Path(request["slot"])),
        )
    except CodeError as error:
        _answer(answers, {"code_error": str(error)})
    else:
        _answer(answers, {"trajectory": trajectory.snapshot()})


def _report_progress(
    answers: IO[bytes], run_steps: int, recording: Recording | None
) -> None:
    """Send the steps made, with what has been recorded of the current chunk."""
    snapshot = recording and recording.snapshot() | {"kept": [], "arrays": {}}
    _answer(answers, {"run_steps": run_steps, "recording": snapshot})


def _answer(answers: IO[bytes], message: Any) -> None:
    """Send a message to the parent; if it has gone, end the process silently."""
    try:
        send(answers, message)
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()

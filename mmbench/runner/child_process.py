"""Child: a process that computes cells for another one, which may end it at any time.

It reads tasks from its standard input and answers on what was its standard output, each
message as `checkpoint.pack` makes it after its length in eight bytes. What a cell
prints goes to standard error. When the input ends, so does the process, whatever it is
at: no child outlives its parent.
"""

import os
import sys
import threading
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import torch

from mmbench.core.checkpoint import pack, unpack
from mmbench.core.placement import Placement
from mmbench.core.serialization import from_json
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.store.folder import CheckpointFile

_LENGTH = 8  # bytes


def send(pipe: BinaryIO, message: Any) -> None:
    """Write one message."""
    content = pack(message)
    pipe.write(len(content).to_bytes(_LENGTH, "big") + content)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """The next message; None when the other side has gone or was cut off."""
    length = _exactly(pipe, _LENGTH)
    return unpack(_exactly(pipe, int.from_bytes(length, "big"))) if length else None


def _exactly(pipe: BinaryIO, count: int) -> bytes:
    """So many bytes, or what comes before the end; a raw pipe gives them in parts."""
    parts = bytearray()
    while len(parts) < count and (part := pipe.read(count - len(parts))):
        parts += part
    return bytes(parts)


def task(
    document: str, placement: Placement, starts: torch.Tensor | None, slot: Path | None
) -> dict[str, Any]:
    """What a child is asked: a cell as it is sent, and how to compute it."""
    return {
        "cell": document,
        "device": str(placement.device),
        "data_dir": None if placement.data_dir is None else str(placement.data_dir),
        "compiled": placement.compiled,
        "starts": starts,
        "slot": None if slot is None else str(slot),
    }


def main() -> None:
    """Compute cells until the parent goes."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read, args=(tasks,), daemon=True).start()
    _answer(answers, {"ready": True})
    while True:
        _compute(tasks.get(), answers)


def _read(tasks: "SimpleQueue[dict[str, Any]]") -> None:
    """Queue what comes in; end the process when nothing can come any more."""
    while (asked := receive(sys.stdin.buffer)) is not None:
        tasks.put(asked)
    os._exit(0)


def _compute(asked: dict[str, Any], answers: BinaryIO) -> None:
    placement = Placement(
        device=torch.device(asked["device"]),
        data_dir=asked["data_dir"] and Path(asked["data_dir"]),
        compiled=asked["compiled"],
    )
    starts = asked["starts"]
    trajectory = run_cell(
        from_json(asked["cell"]),
        placement,
        partial(_tell, answers),
        None if starts is None else lambda: starts,
        asked["slot"] and CheckpointFile(Path(asked["slot"])),
    )
    _answer(answers, {"trajectory": trajectory.snapshot()})


def _tell(answers: BinaryIO, run_steps: int, recording: Recording | None) -> None:
    """Say how far the cell has come, with what has been recorded of the last chunk."""
    told = recording and recording.snapshot() | {"kept": [], "arrays": {}}
    _answer(answers, {"run_steps": run_steps, "recording": told})


def _answer(answers: BinaryIO, message: Any) -> None:
    """Tell the parent; if it has gone, end the process without a word."""
    try:
        send(answers, message)
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()

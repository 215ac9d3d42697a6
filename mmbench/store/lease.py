"""Lease: the file by which one process says that it computes a cell.

It lies beside the results as `<key>.lease` and is made by a call that fails where it
exists. Its holder touches it every few seconds, so that a process that was killed, on
whatever machine, holds nothing for longer than `STALE`. Two holders at once are no
harm but for the time: both write the same cell whole.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

BEAT = 15.0  # seconds between two touches
# Seconds without a touch after which the holder is dead. NFS shows a touch up to 60 s
# late, and a machine under load misses some.
STALE = 180.0


@contextmanager
def leased(path: Path) -> Iterator[bool]:
    """Hold a lease, if nobody else does.

    Where the folder cannot be written there is nobody to agree with, and nothing stops
    the work here.

    Args:
        path: of its file.

    Yields:
        Whether it is held by this process now.
    """
    token = uuid.uuid4().hex
    if not _taken(path, token):
        yield False
        return
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, token, ended), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        ended.set()
        beating.join()
        if holder(path).get("token") == token:
            with contextlib.suppress(OSError):
                path.unlink()


def holder(path: Path) -> dict[str, Any]:
    """Who holds a lease, "host", "pid" and "token"; empty where nobody says so."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def alive(path: Path) -> bool:
    """Whether a lease exists and its holder may still be at work."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    if abs(age) > STALE:  # either way: clocks of two machines may differ
        return False
    told = holder(path)
    here = told.get("host") == socket.gethostname()
    pid = told.get("pid")
    return not (here and isinstance(pid, int) and not psutil.pid_exists(pid))


def _taken(path: Path, token: str) -> bool:
    """Make the file; a dead holder's gives way."""
    told = {"host": socket.gethostname(), "pid": os.getpid(), "token": token}
    for _ in range(2):
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(told, file)
        except FileExistsError:
            if alive(path):
                return False
            with contextlib.suppress(OSError):
                path.unlink()
        except OSError:
            with contextlib.suppress(OSError):  # an empty one would block others
                path.unlink()
            return True
        else:
            return True
    return False  # another process was quicker


def _beat(path: Path, token: str, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        if holder(path).get("token") == token:
            with contextlib.suppress(OSError):
                os.utime(path)

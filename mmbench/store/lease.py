"""Leases: files by which a process claims the computation of a cell.

A lease lies next to the results as `<key>.lease` and is made by a call that fails where
it exists. Its holder touches it every few seconds, so that a process that was killed,
on whatever machine, holds nothing for longer than `STALE_SECONDS`. Two holders at once
cost time but do no harm: both write the same cell whole.
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
from typing import Annotated, Any, TypedDict

import psutil

from mmbench.core.files import read_file
from mmbench.core.json_schema import Range, find_misfit, parse_json

TOUCH_SECONDS = 15.0  # between two touches of a lease that is held
# Time without a touch after which the holder counts as dead. NFS shows a touch up to
# 60 s late, and a machine under load misses some.
STALE_SECONDS = 180.0


_MAX_BYTES = 2**16  # of a lease


class Holder(TypedDict):
    """Who holds a lease."""

    host: str
    pid: Annotated[int, Range(1, 2**31 - 1)]
    token: str


@contextmanager
def leased(path: Path) -> Iterator[bool]:
    """Hold a lease, if no other process does.

    Where the folder cannot be written, no other process can hold a lease in it, and
    this one counts as the holder.

    Args:
        path: the lease's file.

    Yields:
        Whether this process holds it now.
    """
    token = uuid.uuid4().hex
    if not _acquire(path, token):
        yield False
        return
    ended = threading.Event()
    toucher = threading.Thread(target=_keep_fresh, args=(path, token, ended))
    toucher.daemon = True
    toucher.start()
    try:
        yield True
    finally:
        ended.set()
        toucher.join()
        if holder(path).get("token") == token:
            with contextlib.suppress(OSError):
                path.unlink()


def holder(path: Path) -> dict[str, Any]:
    """Return "host", "pid" and "token" of a lease's holder; empty where unreadable."""
    try:
        document = parse_json(read_file(path, _MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return {} if find_misfit(document, Holder) else document


def is_held(path: Path) -> bool:
    """Return whether a lease exists and its holder may still be working."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    if abs(age) > STALE_SECONDS:  # either way: clocks of two machines may differ
        return False
    owner = holder(path)
    is_local = owner.get("host") == socket.gethostname()
    pid = owner.get("pid")
    return not (is_local and isinstance(pid, int) and not psutil.pid_exists(pid))


def _acquire(path: Path, token: str) -> bool:
    """Make the lease's file, in place of a dead holder's; return whether it is ours."""
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "token": token}
    for _ in range(2):
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(owner, file)
        except FileExistsError:
            if is_held(path):
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


def _keep_fresh(path: Path, token: str, ended: threading.Event) -> None:
    """Touch a lease regularly, as long as it is this process's."""
    while not ended.wait(TOUCH_SECONDS):
        if holder(path).get("token") == token:
            with contextlib.suppress(OSError):
                os.utime(path)

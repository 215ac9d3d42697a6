"""Leases as processes that have ended leave them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def leave_lease(path: Path, host: str, pid: int, age: float = 0.0) -> None:
    """Write a lease of another process, last touched `age` seconds ago."""
    path.write_text(json.dumps({"host": host, "pid": pid, "token": "another"}))
    then = time.time() - age
    os.utime(path, (then, then))


def dead_pid() -> int:
    """Return the id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid

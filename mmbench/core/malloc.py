"""Heap: what is freed is kept for what is wanted next."""

import ctypes
from functools import cache

# Numbers of these settings in malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


@cache
def keep_freed() -> None:
    """Let the C library keep what is freed, for the rest of the process.

    A step frees and wants again the same tensors. Left alone, glibc hands some of them
    back to the system each time, which then fills fresh pages with zeros: a tenth to a
    fifth of a step of small networks. Other C libraries are left as they are.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(MMAP_THRESHOLD, 2**25)  # the most that every glibc takes
    set_option(TRIM_THRESHOLD, 2**30)

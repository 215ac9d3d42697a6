"""Settings of the C library's memory allocator."""

import ctypes
from functools import cache

# Numbers of the settings in malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


@cache
def keep_freed_memory() -> None:
    """Make glibc reuse freed memory instead of returning it to the system.

    Every step frees and allocates tensors of the same sizes. By default, glibc returns
    some of them to the system each time, which fills new pages with zeros: a tenth to a
    fifth of a step of small networks. The setting lasts for the rest of the process;
    other C libraries are left as they are.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(MMAP_THRESHOLD, 2**25)  # the largest value that every glibc accepts
    set_option(TRIM_THRESHOLD, 2**30)

"""How worker processes keep their memory."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``."""
_LARGEST_TRIM, _LARGEST_MMAP = 1 << 28, 1 << 25
"""Free memory that is kept, and size from which an array has memory of its own [bytes]."""


def keep_freed_memory() -> None:
    """Let this process use freed memory again instead of giving it back at once (glibc only).

    Arrays of the same sizes come and go with every block of candidates; given back each time, every
    page of them is cleared anew. Dask starts its workers with a ``MALLOC_TRIM_THRESHOLD_`` that
    has it so: a screening then ran a quarter slower. Until the process ends it keeps up to 256 MiB
    that nothing uses.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _LARGEST_TRIM)
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP)

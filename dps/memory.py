"""Memory that is free but kept by the C library, given back to the operating system."""

import contextlib
import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Give back what is free, where the C library is glibc; elsewhere nothing happens.

    A network's layers are aligned blocks of ever other sizes. Freed, they leave holes in glibc's heap that the next
    ones do not fit into, so that it keeps growing, by a quarter of a GiB over some 500 batches.
    """
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library, or no name for it
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
        return trim
    return lambda _kept: None

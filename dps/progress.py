"""How far long work is: a bar on a terminal, a line now and then in a log file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINE_EVERY = 30.0
"""Seconds between two lines in a log file."""


@contextmanager
def progress(what: str, total: int, unit: str, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error while the work goes on; yield what to call with how much more is done.

    The unit of the total is in the plural. Of many workers, one that is shown is enough.
    """
    terminal = sys.stderr.isatty()
    bar = tqdm(total=total, desc=what, unit=f" {unit}", disable=not (shown and terminal), leave=False)
    start = last = time.monotonic()
    done = 0

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        bar.update(more)
        now = time.monotonic()
        if shown and not terminal and now - last >= LINE_EVERY:
            last = now
            print(bar.format_meter(done, total, now - start, prefix=what, unit=f" {unit}", ncols=79), file=sys.stderr)

    try:
        yield advance
    finally:
        bar.close()

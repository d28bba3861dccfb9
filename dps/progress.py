"""Progress of long tasks: a bar on a terminal, occasional lines in a log file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

LOG_INTERVAL = 30.0
"""Seconds between two lines in a log file."""


@contextmanager
def progress(title: str, total: int, unit: str, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error; yield a function to call with each number of completed units.

    The unit of the total is in the plural.
    """
    terminal = sys.stderr.isatty()
    bar = tqdm(total=total, desc=title, unit=f" {unit}", disable=not (shown and terminal), leave=False)
    start = last = time.monotonic()
    done = 0

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        bar.update(more)
        now = time.monotonic()
        if shown and not terminal and now - last >= LOG_INTERVAL:
            last = now
            print(bar.format_meter(done, total, now - start, prefix=title, unit=f" {unit}", ncols=79), file=sys.stderr)

    try:
        yield advance
    finally:
        bar.close()

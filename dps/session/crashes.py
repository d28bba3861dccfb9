"""Notes of what each process is measuring, so that a metric that ends its process does not end every one after it."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dps.metrics import Metric, Variant
from dps.session.configuration import Unit

MAX_DEATHS = 2
"""Processes that may end while they call one metric of images, until it is not called any more."""

REASON = "metric {!r} ended the process that called it (a crash, or os._exit); not called again"


class CrashLog:
    """Notes on the disk that outlive a process.

    A note stays where the process ended before its work did. A metric of images is called case by case, so that the
    case that ended the process is known. Variants of a network are measured together: after one death all variants with
    a user-defined comparison are left out of that unit.

    Args:
        folder: shared by the processes of a run; None where there is one process, which leaves nothing to note.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def one_process(self) -> bool:
        """Return whether the run has one process."""
        return self._folder is None

    def excludes(self, unit: Unit, variant: Variant) -> bool:
        """Return whether a variant must not be measured any more."""
        if self._folder is None or variant.metric.built_in:
            return False
        notes = self._folder.glob(f"{_name(unit, variant)}.*")
        deaths = sum(not _is_alive(int(path.suffix[1:])) for path in notes)
        return deaths >= (MAX_DEATHS if isinstance(variant.metric, Metric) else 1)

    @contextmanager
    def noting(self, unit: Unit, variants: Iterable[Variant]) -> Iterator[None]:
        """Keep a note while variants that are not built in are measured."""
        names = {_name(unit, variant) for variant in variants if not variant.metric.built_in}
        paths = [self._folder / f"{name}.{os.getpid()}" for name in names] if self._folder else []
        for path in paths:
            path.touch()
        try:
            yield
        finally:
            for path in paths:
                path.unlink(missing_ok=True)


def _name(unit: Unit, variant: Variant) -> str:
    return re.sub(r"\W", "_", variant.metric.name if isinstance(variant.metric, Metric) else f"{unit[0]}-{unit[1]}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True

"""A log of what each process is measuring, so that a metric that crashes one process does not crash the next ones."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dps.metrics import Metric, Variant
from dps.session.configuration import Unit

MAX_DEATHS = 2
"""Number of processes that one metric of images may crash before it is excluded."""

REASON = "metric {!r} ended the process that called it (a crash, or os._exit); not called again"


class CrashLog:
    """Files that outlive a process that crashes while it measures.

    A metric of images is called case by case, so that the case that crashed is known. Variants of a backbone are
    measured together: after one crash, all variants with a user-defined comparison are excluded from that unit.

    Args:
        folder: shared by the processes of a run; None for a run of one process, which needs no log.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def one_process(self) -> bool:
        """Return whether the run has one process."""
        return self._folder is None

    def excludes(self, unit: Unit, variant: Variant) -> bool:
        """Return whether a variant has crashed too many processes to be measured in a unit."""
        if self._folder is None or variant.metric.built_in:
            return False
        notes = self._folder.glob(f"{_name(unit, variant)}.*")
        deaths = sum(not _is_alive(int(path.suffix[1:])) for path in notes)
        return deaths >= (MAX_DEATHS if isinstance(variant.metric, Metric) else 1)

    @contextmanager
    def noting(self, unit: Unit, variants: Iterable[Variant]) -> Iterator[None]:
        """Log variants that are not built in while they are measured."""
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

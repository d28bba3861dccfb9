"""Notes of what each process is measuring, so that a metric that ends its process does not end every one after it."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dps.metrics import IMAGE_METRICS, Metric, Variant
from dps.session.configuration import Unit

MAX_DEATHS = 2
"""Processes that may end while they call one metric of images, until it is not called any more."""


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

    def divide(self, unit: Unit, variants: Sequence[Variant]) -> tuple[list[Variant], list[Variant]]:
        """Return the variants that must not be measured, and the others."""
        excluded = [
            variant
            for variant in variants
            if not _is_built_in(variant)
            and self._deaths(unit, variant) >= (MAX_DEATHS if isinstance(variant.metric, Metric) else 1)
        ]
        return excluded, [variant for variant in variants if variant not in excluded]

    def reason(self, variant: Variant) -> str:
        """Return why an excluded variant has no result."""
        return (
            f"metric {variant.metric.name!r} ended the process that called it (a crash, or os._exit); not called again"
        )

    @contextmanager
    def noting(self, unit: Unit, variants: Sequence[Variant]) -> Iterator[None]:
        """Keep a note while variants that are not built in are measured."""
        notes = {self._note(unit, variant) for variant in variants if self._folder and not _is_built_in(variant)}
        paths = [note.with_suffix(f".{os.getpid()}") for note in notes]
        for path in paths:
            path.touch()
        try:
            yield
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _deaths(self, unit: Unit, variant: Variant) -> int:
        if self._folder is None:
            return 0
        note = self._note(unit, variant)
        return sum(not _is_alive(int(path.suffix[1:])) for path in self._folder.glob(f"{note.name}.*"))

    def _note(self, unit: Unit, variant: Variant) -> Path:
        assert self._folder is not None
        name = variant.metric.name if isinstance(variant.metric, Metric) else f"{unit[0]}-{unit[1]}"
        return self._folder / re.sub(r"\W", "_", name)


def _is_built_in(variant: Variant) -> bool:
    metric = variant.metric
    return metric.name in IMAGE_METRICS if isinstance(metric, Metric) else all(term.built_in for term in metric.terms)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

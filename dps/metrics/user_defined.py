"""Users' own metrics and comparisons: loaded from a module or a file, which runs it; told apart by what they take."""

import importlib
import importlib.util
import inspect
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from torch import nn

from dps.comparisons import Comparison
from dps.errors import UsageError, one_line, unknown
from dps.metrics.definitions import Metric

GROUP = "dps.metrics"
"""The entry point group in which a package registers names."""

TOLD_APART = (
    "what takes one tensor is a comparison, two a metric, and nothing a class or factory that makes one of these"
)


def load(text: str) -> Comparison | Metric:
    """Load ``module:name`` or ``file.py:name``, which runs that file, and tell what it is.

    Raises:
        UsageError: it is not there, cannot be loaded, or is neither a comparison nor a metric.
    """
    place, _, name = text.rpartition(":")
    source = _load_file(place) if place.endswith(".py") else _load_module(place)
    try:
        found = getattr(source, name)
    except AttributeError:
        public = [key for key in vars(source) if not key.startswith("_")]
        raise UsageError(f"metric {text!r}: {unknown(f'name in {place}:', name, public)}") from None
    return _told_apart(found, text)


def registered() -> dict[str, EntryPoint]:
    """What installed packages register as metrics and comparisons, by name; nothing of them is imported."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load_registered(name: str) -> Comparison | Metric:
    """Load what a package registered, which imports it, and tell what it is.

    Raises:
        UsageError: it cannot be imported, or is neither a comparison nor a metric.
    """
    entry = registered()[name]
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs somebody's code
        raise UsageError(f"metric {name!r}: {entry.value} cannot be loaded: {one_line(error)}.") from None
    return _told_apart(found, name)


def _told_apart(found: Any, name: str) -> Comparison | Metric:
    """A comparison or a metric, made if it is a class or factory."""
    if asked := _asked_in_vain(found):
        raise UsageError(f"metric {name!r}: asks for {', '.join(asked)}, which nothing here gives it; {TOLD_APART}.")
    if _required(found) == 0 and not isinstance(found, Metric):
        try:
            found = found()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's factory may raise anything
            raise UsageError(f"metric {name!r}: making it failed ({one_line(error)}).") from None
    if isinstance(found, Metric):
        return replace(found, name=name)
    match _required(found):
        case 1:
            comparison: Comparison = found
            return comparison
        case 2:
            return Metric(name=name, distance=found)
        case other:
            takes = "is no callable" if other is None else f"takes {other}"
            raise UsageError(f"metric {name!r}: {takes}; {TOLD_APART}.")


def _required(thing: object) -> int | None:
    """How many positional parameters without a default it takes; for a module, its ``forward``."""
    needed = _needed(thing)
    return None if needed is None else sum(p.kind is not p.KEYWORD_ONLY for p in needed)


def _asked_in_vain(thing: object) -> list[str]:
    """Parameters that nothing is given for: of a class all that it needs, and keywords of anything."""
    needed = _needed(thing) or []
    return [p.name for p in needed if inspect.isclass(thing) or p.kind is p.KEYWORD_ONLY]


def _needed(thing: object) -> list[inspect.Parameter] | None:
    """The parameters without a default; None of what cannot be called, or does not say."""
    if not callable(thing):
        return None
    try:
        signature = inspect.signature(thing.forward if isinstance(thing, nn.Module) else thing)
    except (TypeError, ValueError):
        return None
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in signature.parameters.values() if p.kind not in several and p.default is p.empty]


def _load_module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs a user's code
        raise UsageError(f"module {name!r} cannot be imported: {one_line(error)}.") from None


def _load_file(place: str) -> object:
    path = Path(place)
    if not path.is_file():
        raise UsageError(f"{place}: no such file.")
    spec = importlib.util.spec_from_file_location(f"dps_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a user's code
        raise UsageError(f"{place}{_line_in(error, path)}: cannot be loaded: {one_line(error)}.") from None
    return module


def _line_in(error: BaseException, path: Path) -> str:
    """``:line`` where a user's file raised, as deep as it is still that file."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == path.resolve():
        return f":{error.lineno}"
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines else ""

"""The exceptions of dps, by cause.

    DpsError
    ├── UsageError             an option, a name or a file
    │   ├── ProbeError         a probe file, an image in it, or the file of a tuned metric
    │   ├── JudgmentsError     people's judgments: a folder, a CSV file or a downloaded archive
    │   └── StoreError         a store of distances
    ├── WeightsError           pretrained weights
    ├── ImageError             an image or a batch of images
    ├── DrawError              a scene
    ├── NetworkError           a network
    └── MetricError            a metric under test
        └── ChangedInputError  a metric that changed its input

A message is one line: the place, the actual and the expected value, and the remedy.
"""

import difflib
from collections.abc import Collection, Iterable


class DpsError(Exception):
    """Base class of the exceptions that users may see."""


class UsageError(DpsError):
    """An option, a name or a file is invalid, or options conflict."""


class ProbeError(UsageError):
    """A YAML file is invalid; the message begins with ``path:line``."""


class JudgmentsError(UsageError):
    """People's judgments are invalid or cannot be downloaded."""


class StoreError(UsageError):
    """A store of distances cannot be read or written."""


class WeightsError(DpsError):
    """Pretrained weights are missing, altered or do not fit their network."""


class ImageError(DpsError, ValueError):
    """Images have the wrong size, range or shape, or a file cannot be read as an image."""


class DrawError(DpsError):
    """A scene cannot be drawn, or an image equals the original."""


class NetworkError(DpsError):
    """A network failed, or its output is not feature maps."""


class MetricError(DpsError):
    """A metric under test failed or violated its contract."""


class ChangedInputError(MetricError):
    """A metric under test changed its input."""


MAX_KNOWN = 25
"""The number of known names up to which `unknown` lists all of them; of more it lists the 10 most similar."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for an unknown name, with a suggestion and the known names.

    >>> unknown("comparison", "srot", ["spatial", "sort", "mean"])
    "unknown comparison 'srot'. Did you mean 'sort'? Known: mean, sort, spatial."
    """
    names = list(dict.fromkeys(known))
    close = closest(name, names)
    suggestion = f" Did you mean {close!r}?" if close else ""
    count = len(names)
    if count > MAX_KNOWN:
        names = difflib.get_close_matches(str(name), names, n=10, cutoff=0)
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return f"unknown {kind} {name!r}.{suggestion} Known: {', '.join(sorted(names))}{more}."


def check_known(kind: str, name: str, known: Collection[str]) -> None:
    """Raise a UsageError with the message of `unknown` if a name is not known."""
    if name not in known:
        raise UsageError(unknown(kind, name, known))


def closest(name: object, known: Iterable[str]) -> str:
    """Return the most similar known name; empty if none is similar."""
    names, typed = list(known), str(name).casefold()
    by_folded = {known_name.casefold(): known_name for known_name in reversed(names)}
    parts = [known_name for known_name in names if typed in known_name.casefold().split(":")]
    close = parts or [by_folded[match] for match in difflib.get_close_matches(typed, by_folded, n=1)]
    return close[0] if close else ""


def one_line(error: BaseException) -> str:
    """Return an exception's type and text as part of a one-line message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

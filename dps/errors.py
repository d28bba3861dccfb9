"""Every error that dps raises on purpose, and whose mistake each one is.

    DpsError
    ├── UsageError         the question was wrong: an option, a name, a folder
    │   ├── ProbeError     a probe file, an image that it names, or the file of a tuned metric
    │   ├── JudgmentsError  people's judgments: a folder, a CSV file, or an archive that is fetched
    │   └── StoreError     a store that cannot be read or written
    ├── WeightsError       pretrained weights: missing, altered, or not what they should be
    ├── ImageError         an image, or a batch of them, that cannot be measured
    ├── DrawError          a scene that cannot be drawn as it was asked for
    ├── NetworkError       a network that failed, or returned something else than feature maps
    └── MetricError        a metric under test that broke its contract
        └── ChangedInputError   it changed the images or features that it was given

A message says where, what was found, what would be right and what to do, in one line.
"""

import difflib
from collections.abc import Collection, Iterable


class DpsError(Exception):
    """Base of all errors below; its text is one line, meant for the person who asked."""


class UsageError(DpsError):
    """An option, a name or a file does not exist, or options do not fit together."""


class ProbeError(UsageError):
    """A YAML file is wrong; the message begins with ``path:line``."""


class JudgmentsError(UsageError):
    """A folder or file of people's judgments is not one, something in it is wrong, or it cannot be fetched."""


class StoreError(UsageError):
    """A store of distances cannot be used."""


class WeightsError(DpsError):
    """Pretrained weights are missing, altered or do not fit their network."""


class ImageError(DpsError, ValueError):
    """Images of the wrong size, range or shape, or a file that is no readable image."""


class DrawError(DpsError):
    """A scene cannot be drawn, or an image equals the original."""


class NetworkError(DpsError):
    """A network failed, or returned something else than feature maps."""


class MetricError(DpsError):
    """A metric under test returned something that is not a distance."""


class ChangedInputError(MetricError):
    """A metric under test changed its input."""


MANY, NEAREST = 25, 10
"""Of more names than these, `unknown` lists the most similar ones."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that a name is not known, which one may have been meant, and which there are.

    >>> unknown("comparison", "srot", ["spatial", "sort", "mean"])
    "unknown comparison 'srot'. Did you mean 'sort'? Known: mean, sort, spatial."
    """
    names = list(dict.fromkeys(known))
    close = closest(name, names)
    meant = f" Did you mean {close!r}?" if close else ""
    shown, more = names, ""
    if len(names) > MANY:
        shown = difflib.get_close_matches(str(name), names, n=NEAREST, cutoff=0)
        more = f" and {len(names) - len(shown)} more"
    return f"unknown {kind} {name!r}.{meant} Known: {', '.join(sorted(shown))}{more}."


def check_known(kind: str, name: str, known: Collection[str]) -> None:
    """Raise a UsageError with what `unknown` says where a name is not one of those that are known."""
    if name not in known:
        raise UsageError(unknown(kind, name, known))


def closest(name: object, known: Iterable[str]) -> str:
    """Return the known name that a person may have meant; empty if none is similar."""
    names, typed = list(known), str(name).casefold()
    by_folded = {known_name.casefold(): known_name for known_name in reversed(names)}
    parts = [known_name for known_name in names if typed in known_name.casefold().split(":")]
    close = parts or [by_folded[match] for match in difflib.get_close_matches(typed, by_folded, n=1)]
    return close[0] if close else ""


def one_line(error: BaseException) -> str:
    """Return an exception's type and text as part of a one-line message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

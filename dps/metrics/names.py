"""From a name on the command line to a metric.

``spatial+0.5*sort`` is a sum, ``pixel`` has no network, ``lpips:alex`` is another library's, ``module:name`` and
``file.py:name`` are users' own, and packages may register more.
"""

import re
from collections.abc import Iterator

from dps.comparisons import COMPARISONS, Comparison
from dps.errors import UsageError, unknown
from dps.metrics import third_party, user_defined
from dps.metrics.definitions import IMAGE_METRICS, AnyMetric, FeatureMetric, Metric, Term

DEFAULT_METRICS = ("pixel", "spatial", "sort", "mean", "spatial+sort", "spatial+mean")
"""Those of the paper."""


def named(text: str, *, weights: str = "pypi", device: str = "cpu") -> AnyMetric:
    """Make a metric of its name on the command line.

    Args:
        text: ``pixel``, a comparison, a sum such as ``spatial+0.5*mean``, another library's such as
            ``lpips:alex``, a registered name, ``module:name`` or ``file.py:name``.
        weights: where other libraries' metrics get a network's from; see `networks.find_weights`.
        device: where they compute.

    Raises:
        UsageError: there is no such metric, or its library is not installed.
        WeightsError: weights that it needs are missing or altered.
    """
    if text in IMAGE_METRICS:
        return IMAGE_METRICS[text]
    if text.partition(":")[0] in third_party.PREFIXES:
        return third_party.named(text, weights=weights, device=device)
    parts = [part.strip() for part in text.split("+")]
    if not all(parts):
        raise UsageError(f"metric {text!r}: a term is missing beside '+'; write a sum as spatial+sort.")
    if len(parts) == 1 and _WEIGHTED.fullmatch(text) is None and (made := _own(text)) is not None:
        return made if isinstance(made, Metric) else FeatureMetric(name=text, terms=(Term(name=text, comparison=made),))
    return FeatureMetric(name=text, terms=tuple(_term(part, text) for part in parts))


_WEIGHTED = re.compile(r"(?P<weight>[^*]*)\*(?P<name>.*)")


def _own(name: str) -> Comparison | Metric | None:
    """A user's own, or what a package registered; None where it can be neither."""
    if name in COMPARISONS:
        return None
    if name in user_defined.registered():
        return user_defined.load_registered(name)
    return user_defined.load(name) if ":" in name else None


def _term(part: str, text: str) -> Term:
    """One term of a sum: ``sort``, ``0.5*mean`` or ``2*file.py:name``."""
    name, weight = part, 1.0
    if match := _WEIGHTED.fullmatch(part):
        name = match["name"].strip()
        try:
            weight = float(match["weight"])
        except ValueError:
            weight = float("nan")
        if not 0 < weight < float("inf"):
            raise UsageError(
                f"metric {text!r}: {match['weight']!r} is no weight; write a positive number, as in 0.5*mean."
            )
    if name in COMPARISONS:
        return Term(name=name, comparison=COMPARISONS[name], weight=weight)
    no_features = f"metric {text!r}: {name} compares no features, so it cannot be part of a sum."
    if name in IMAGE_METRICS or name.partition(":")[0] in third_party.PREFIXES:
        raise UsageError(no_features)
    made = _own(name)
    if made is None and name == text:
        raise UsageError(unknown("metric", name, [*IMAGE_METRICS, *DEFAULT_METRICS, *user_defined.registered()]))
    if made is None:
        raise UsageError(f"metric {text!r}: {unknown('comparison', name, [*COMPARISONS, *user_defined.registered()])}")
    if isinstance(made, Metric):
        raise UsageError(no_features)
    return Term(name=name, comparison=made, weight=weight)


def listed() -> Iterator[tuple[str, str]]:
    """All that can be named, and what each is or needs, in one line."""
    for name, metric in IMAGE_METRICS.items():
        yield name, _first_line(metric.distance)
    for name, comparison in COMPARISONS.items():
        yield name, _first_line(comparison)
    yield "spatial+0.5*sort", "A sum of comparisons, with any positive weights."
    yield from third_party.listed()
    for name, entry in user_defined.registered().items():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
        yield name, f"Registered by {package}: {entry.value}."
    yield "module:name, file.py:name", "Your own: a comparison of features, a distance of images, or what makes one."


def _first_line(function: object) -> str:
    return (function.__doc__ or "").partition("\n")[0]

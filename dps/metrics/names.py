"""From names on the command line to metrics.

``spatial+0.5*sort`` is a sum, ``pixel`` has no network, ``lpips:alex`` is a third-party metric, ``tuned`` and
``FILE.yaml`` are tuned ones, ``module:name`` and ``file.py:name`` are users' own, and packages may register more.
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
"""Those of the paper."""


def named(text: str, *, weights: str = "pypi", device: str = "cpu") -> AnyMetric:
    """Return the metric of a name; see `resolve`."""
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
    """Return all metrics of a run, each once, the one that others are held `against` among them, and that by itself.

    The one that they must be the same as is returned last, and is not among them unless it is named, too.

    A metric that is a file's is named by the file's base name and the attribute; two files of one base name are told
    apart by as much of their folders as needed.

    Args:
        texts: each a list with commas of ``pixel``, a comparison, a sum such as ``spatial+0.5*mean``, a third-party
            metric such as ``lpips:alex``, ``tuned`` or a tuned metric's ``FILE.yaml``, a registered name,
            ``module:name`` or ``file.py:name``.
        against: one more, which may be among them.
        same_as: what they are compared with.
        weights: the source of networks' weights for third-party metrics; see `networks.resolve`.
        device: where third-party metrics compute.

    Raises:
        UsageError: there is no such metric, or its library is not installed.
        WeightsError: weights that it needs are missing or altered.
    """
    chosen = [value for text in texts for value in _read(text)]
    single: dict[str, TypedValue] = {}
    for option, text in (("--against", against), ("--same-as", same_as)):
        if text is not None:
            values = _read(text)
            if len(values) != 1:
                raise UsageError(f"{option} {text!r} names {len(values)} metrics; name one.")
            single[option] = values[0]
    measured = len(chosen) + (against is not None)
    chosen += single.values()
    files = reading.shortened(name.path for value in chosen for name in value.names if name.path is not None)
    loading.forget()
    metrics: dict[str, AnyMetric] = {}
    for value in chosen:
        name = _full_name(value, files)
        if name not in metrics:
            metrics[name] = _metric(value, name, files, weights, device)
    of_option = {option: metrics[_full_name(value, files)] for option, value in single.items()}
    names = dict.fromkeys(_full_name(value, files) for value in chosen[:measured])
    return [metrics[name] for name in names], of_option.get("--against"), of_option.get("--same-as")


def _read(text: str) -> list[TypedValue]:
    return reading.read(text, "metric", _is_name)


def _metric(value: TypedValue, name: str, files: dict[Path, str], weights: str, device: str) -> AnyMetric:
    """Make a metric of its text."""
    alone = len(value.names) == 1 and value.names[0].weight is None
    terms = []
    for typed in value.names:
        weight = 1.0
        if typed.weight is not None:
            weight = float(typed.weight) if _NUMBER.fullmatch(typed.weight) else 0.0
        if not 0 < weight < float("inf"):
            wrong = f"{typed.weight!r} is not a valid weight"
            raise UsageError(f"metric {value.text!r}: {wrong}; write a positive number, as in 0.5*mean.")
        term = typed.short(files)
        found = _find(typed, term, weights, device)
        if found is None and alone:
            raise UsageError(unknown("metric", term, _known()))
        if found is None:
            known = [*COMPARISONS, *loading.registered("metric")]
            raise UsageError(f"metric {value.text!r}: {unknown('comparison', term, known)}")
        if isinstance(found, Metric | FeatureMetric):
            if alone:
                return found
            why = "compares images, not features" if isinstance(found, Metric) else "is a tuned sum itself"
            raise UsageError(f"metric {value.text!r}: {term} {why}, so it cannot be part of a sum.")
        terms.append(Term(name=term, comparison=found, weight=weight))
    return FeatureMetric(name=name, terms=tuple(terms))


def _find(typed: TypedName, name: str, weights: str, device: str) -> Comparison | AnyMetric | None:
    """Return what a name stands for; None where there is nothing of that name."""
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


def _full_name(value: TypedValue, files: dict[Path, str]) -> str:
    names = ((name.weight, name.short(files)) for name in value.names)
    return "+".join(name if weight is None else f"{weight}*{name}" for weight, name in names)


def _is_name(name: str) -> bool:
    """Return whether text is a complete name, other than that of a file."""
    return name in _known() or _IN_MODULE.fullmatch(name) is not None


def _known() -> list[str]:
    own = [*IMAGE_METRICS, *COMPARISONS, *DEFAULT_METRICS, TUNED]
    return [*own, *third_party.THIRD_PARTY_METRICS, *loading.registered("metric")]


def listed() -> Iterator[tuple[str, str]]:
    """Yield every name, and in one line what it is or needs."""
    for name, metric in IMAGE_METRICS.items():
        yield name, _first_line(metric.distance)
    for name, comparison in COMPARISONS.items():
        yield name, _first_line(comparison)
    yield "spatial+0.5*sort", "A sum of comparisons, with any positive weights."
    yield f"{TUNED}, FILE.yaml", "A sum whose weights were fitted to one network, layer by layer (see: dps tune)."
    yield from third_party.listed()
    yield from loading.listed("metric")
    yield (
        "module:name, file.py:name",
        "Your own: a comparison of features, a metric of images, or a factory.",
    )


def _first_line(function: object) -> str:
    return (function.__doc__ or "").partition("\n")[0]

"""What is measured, by name: a sum of comparisons, a metric of the images themselves, or a user's own.

``spatial+0.5*sort`` is a sum, ``pixel`` has no network, ``module:name`` and ``file.py:name`` are loaded.
"""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from dps.comparisons import COMPARISONS, NORMALIZATIONS, Comparison
from dps.errors import MetricError, UsageError, one_line, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison of a sum.

    Attributes:
        name: as written on the command line.
        comparison: the function.
        weight: what its distance is multiplied with.
    """

    name: str
    comparison: Comparison = field(repr=False, compare=False)
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deep:
    """A deep perceptual similarity metric: a weighted sum of comparisons, on any network.

    Attributes:
        name: as written on the command line.
        terms: at least one.
    """

    name: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of images as they are, with no network of ours.

    Attributes:
        distance: from two batches of RGB images, ``(batch, 3, height, width)`` in `input_range`, to
            ``(batch,)``; or a similarity, see below.
        similarity_at_identity: where `distance` is a similarity, its value for two equal images: the
            distance is this less the similarity. None where it is a distance.
        input_range: what its images range over.
        name: as written on the command line.
    """

    distance: Callable[[Tensor, Tensor], Tensor] = field(repr=False, compare=False)
    similarity_at_identity: float | None = None
    input_range: tuple[float, float] = (0.0, 1.0)
    name: str = ""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure pairs, and check what comes out.

        Args:
            a, b: RGB in [0, 1], ``(batch, 3, height, width)``.

        Returns:
            Distances, ``(batch,)``, float64, on the CPU.

        Raises:
            MetricError: the metric changed its input, or returned another shape or type.
        """
        low, high = self.input_range
        ours = [images * (high - low) + low for images in (a, b)]
        theirs = [images.clone() for images in ours]
        found = self.distance(*theirs)
        if not isinstance(found, Tensor):
            raise MetricError(f"must return a tensor, got {type(found).__name__}")
        if found.shape != (len(a),):
            raise MetricError(f"must return shape {(len(a),)} for {len(a)} pairs, got {tuple(found.shape)}")
        if not all(torch.equal(mine, given) for mine, given in zip(ours, theirs, strict=True)):
            raise MetricError("changed the images it was given; it must leave them as they are")
        found = found.detach().to("cpu", torch.float64)
        return found if self.similarity_at_identity is None else self.similarity_at_identity - found


AnyMetric: TypeAlias = Deep | Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What is measured: a metric on a network with a normalization; the last two None without a network."""

    metric: AnyMetric
    network: str | None
    normalization: str | None

    @property
    def parts(self) -> tuple[str | None, str | None, str]:
        """Network, normalization, metric name: what a test id ends with."""
        return self.network, self.normalization, self.metric.name

    @property
    def key(self) -> tuple[str, str | None, str | None]:
        """Metric name, network, normalization: what a row of results is found by."""
        return self.metric.name, self.network, self.normalization

    def __str__(self) -> str:
        return "-".join(part for part in self.parts if part)


def pixel_distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean squared difference of images, ``(batch,)``: the pixel-wise metric of the paper."""
    return (a.double() - b.double()).square().mean(dim=(1, 2, 3))


IMAGE_METRICS: dict[str, Metric] = {"pixel": Metric(name="pixel", distance=pixel_distance)}

DEFAULT_METRICS = ("pixel", "spatial", "sort", "mean", "spatial+sort", "spatial+mean")
"""Those of the paper."""


def named(text: str) -> AnyMetric:
    """Make a metric of its name on the command line.

    Args:
        text: ``pixel``, a comparison, a sum such as ``spatial+0.5*mean``, ``module:name`` or
            ``file.py:name``.

    Raises:
        UsageError: there is no such metric.
    """
    if text in IMAGE_METRICS:
        return IMAGE_METRICS[text]
    parts = [part.strip() for part in text.split("+")]
    if not all(parts):
        raise UsageError(f"metric {text!r}: a term is missing beside '+'; write a sum as spatial+sort.")
    if len(parts) == 1 and _WEIGHTED.fullmatch(text) is None and ":" in text:
        made = _user_made(text)
        if isinstance(made, Metric):
            return made
        return Deep(name=text, terms=(Term(name=text, comparison=made),))
    return Deep(name=text, terms=tuple(_term(part, text) for part in parts))


def variants(metrics: Sequence[AnyMetric], networks: Iterable[str], normalizations: Iterable[str]) -> list[Variant]:
    """Every metric on every network with every normalization, network by network.

    Metrics without a network stand once, last.
    """
    normalizations = list(normalizations)
    deep = [
        Variant(metric=metric, network=network, normalization=normalization)
        for network in networks
        for normalization in normalizations
        for metric in metrics
        if isinstance(metric, Deep)
    ]
    plain = [
        Variant(metric=metric, network=None, normalization=None) for metric in metrics if isinstance(metric, Metric)
    ]
    return deep + plain


def check_normalization(name: str) -> str:
    """Pass a normalization's name through.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in NORMALIZATIONS:
        raise UsageError(unknown("normalization", name, NORMALIZATIONS))
    return name


_WEIGHTED = re.compile(r"(?P<weight>[^*]*)\*(?P<name>.*)")


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
    if name in IMAGE_METRICS:
        raise UsageError(f"metric {text!r}: {name} compares no features, so it cannot be part of a sum.")
    if ":" not in name:
        if name == text:
            raise UsageError(unknown("metric", name, [*IMAGE_METRICS, *DEFAULT_METRICS]))
        raise UsageError(f"metric {text!r}: {unknown('comparison', name, COMPARISONS)}")
    made = _user_made(name)
    if isinstance(made, Metric):
        raise UsageError(f"metric {text!r}: {name} compares no features, so it cannot be part of a sum.")
    return Term(name=name, comparison=made, weight=weight)


TOLD_APART = (
    "what takes one tensor is a comparison, two a metric, and nothing a class or factory that makes one of these"
)


def _user_made(text: str) -> Comparison | Metric:
    """Load ``module:name`` or ``file.py:name`` (which runs that file) and tell what it is."""
    place, _, name = text.rpartition(":")
    source = _load_file(place) if place.endswith(".py") else _load_module(place)
    try:
        found = getattr(source, name)
    except AttributeError:
        public = [key for key in vars(source) if not key.startswith("_")]
        raise UsageError(f"metric {text!r}: {place} has no {name!r}. {unknown('name', name, public)}") from None
    if _required(found) == 0 and not isinstance(found, Metric):
        try:
            found = found()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's factory may raise anything
            raise UsageError(f"metric {text!r}: making it failed ({one_line(error)}).") from None
    if isinstance(found, Metric):
        return Metric(
            name=text,
            distance=found.distance,
            similarity_at_identity=found.similarity_at_identity,
            input_range=found.input_range,
        )
    match _required(found):
        case 1:
            comparison: Comparison = found
            return comparison
        case 2:
            return Metric(name=text, distance=found)
        case other:
            takes = "is no callable" if other is None else f"takes {other}"
            raise UsageError(f"metric {text!r}: {takes}; {TOLD_APART}.")


def _required(thing: object) -> int | None:
    """How many positional parameters without a default it takes; for a module, its ``forward``."""
    if not callable(thing):
        return None
    try:
        signature = inspect.signature(thing.forward if isinstance(thing, nn.Module) else thing)
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in signature.parameters.values())


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
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f":{error.lineno}"
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines else ""

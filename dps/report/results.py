"""results.json: what a run measured, at full precision, in strict JSON with sorted rows."""

import functools
import json
import math
import operator
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

import dps
from dps import scores
from dps.agreement import Subset
from dps.bapps.dataset import Dataset
from dps.errors import UsageError
from dps.images import digest_of_files
from dps.metrics import Metric, Variant
from dps.networks import NETWORKS
from dps.probes.declarations import Severity
from dps.report.album import Album
from dps.rows import VariantKey
from dps.scores import Estimate
from dps.session.configuration import RunConfiguration
from dps.session.session import ScoreResult
from dps.significance import Scored

Row: TypeAlias = dict[str, Any]
"""One row of results.json: plain data."""

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the tests of a run left behind.

    Attributes:
        cases: rows, as `case_row` makes them.
        drawn: what each case was drawn with, by ``probe/case``.
        scores: rows, as `score_rows` makes them.
        triplets: each triplet's 2AFC score, by what was scored and the variant; only where metrics are compared.
        throughput: rows, as `throughput.row` makes them.
        album: the images of the cases.
        invariants: rows, as `invariants.Finding` makes them.
    """

    cases: list[Row] = field(default_factory=list)
    drawn: dict[str, Row] = field(default_factory=dict)
    scores: list[Row] = field(default_factory=list)
    triplets: dict[Scored, Sequence[float]] = field(default_factory=dict)
    throughput: list[Row] = field(default_factory=list)
    album: Album = field(default_factory=Album, repr=False)
    invariants: list[Row] = field(default_factory=list)

    def add(self, data: Row) -> None:
        """Take in what one test recorded, by name."""
        if "case" in data:
            self.cases.append(data["case"])
        if "drawn" in data:
            self.drawn.setdefault(*data["drawn"])
        if "images" in data:
            self.album.update(data["images"])
        self.scores.extend(data.get("scores", ()))
        if "triplets" in data:
            subset, variant, values = data["triplets"]
            self.triplets[subset, VariantKey(*variant)] = values
        if "invariant" in data:
            self.invariants.append(data["invariant"])
        self.throughput.extend(data.get("throughput", ()))

    def __bool__(self) -> bool:
        return bool(self.cases or self.scores or self.throughput or self.invariants)


def score_rows(dataset: Dataset, subset: Subset, variant: Variant, score: ScoreResult) -> list[Row]:
    """A variant's score as results.json has it, and that of those who judged the same."""
    row: Row = {
        "dataset": dataset.name,
        "kind": subset.kind,
        "subset": subset.name,
        "metric": variant.metric.name,
        "network": variant.network,
        "normalization": variant.normalization,
        **_estimated(score.estimate),
    }
    if score.error:
        row["error"] = score.error
    if score.judges is None:
        return [row]
    judges = {"metric": dataset.judges, "network": None, "normalization": None}
    return [row, {**row, **judges, **_estimated(score.judges)}]


def with_means(rows: Iterable[Row], groups: Mapping[str, Sequence[str]]) -> list[Row]:
    """Add the unweighted means over subsets, where all of a group's subsets have a score; each row once.

    Args:
        rows: of scores.
        groups: subsets of ``2afc`` by the name of their mean.
    """
    unique = {_score_order(row): row for row in rows}
    found = list(unique.values())
    by_metric: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in found:
        if row["kind"] == "2afc" and row["score"] is not None:
            key = row["metric"], row["network"], row["normalization"]
            by_metric.setdefault(key, {})[row["subset"]] = row
    for of in by_metric.values():
        for group, subsets in groups.items():
            if of.keys() >= set(subsets):
                rows_of = [of[subset] for subset in subsets]
                mean = scores.mean_of_subsets(
                    [
                        Estimate(value=row["score"], standard_error=row["standard_error"], count=row["count"])
                        for row in rows_of
                    ]
                )
                found.append({**rows_of[0], "subset": group, **_estimated(mean)})
    return found


def _estimated(estimate: Estimate | None) -> Row:
    if estimate is None:
        return {"score": None, "standard_error": None, "count": 0}
    return {"score": estimate.value, "standard_error": estimate.standard_error, "count": estimate.count}


def about_run(configuration: RunConfiguration, command: str, threads: int, *, interrupted: bool = False) -> Row:
    """What a run was: versions, device, weights, and what is one value a run."""
    about: Row = {
        "dps": dps.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "device": configuration.device,
        "threads": threads,
        "seed": 0,
        "command": command,
        "reduction": configuration.reduction,
        "gate": configuration.gate,
        "baseline": configuration.baseline.where or None,
        "against": configuration.against,
        "cases": configuration.cases,
        "probes": {probe.name: probe.asks for probe in configuration.probes},
        "severity": {probe.name: _severity(probe.severity) for probe in configuration.probes if probe.severity},
        "probes_sha256": digest_of_files(probe.path for probe in configuration.probes),
        "dataset": {"name": configuration.dataset.name, "about": configuration.dataset.about}
        if configuration.dataset
        else None,
        "networks": {
            name: {"weights": weights.source, "sha256": weights.sha256, "remark": _remark(name, weights.source)}
            for name, weights in configuration.weights.items()
        },
        "metrics": {
            variant.metric.name: variant.metric.provenance
            for variant in configuration.variants
            if isinstance(variant.metric, Metric) and variant.metric.provenance
        },
    }
    if interrupted:
        about["interrupted"] = True
    return about


def _severity(severity: Severity) -> Row:
    """Return how a probe measures its severity, and from which one on people notice it, where that is known."""
    people = severity.people
    return {
        "by": severity.by,
        "unit": severity.unit,
        "detection_threshold": people.notice if people else None,
        "source": people.source if people else "",
    }


def document(about: Row, gathered: Gathered, groups: Mapping[str, Sequence[str]]) -> Row:
    """The whole of results.json.

    Args:
        about: the run, see `about_run`.
        gathered: what was measured.
        groups: subsets whose means are scores of their own, see `with_means`.
    """
    return {
        "schema": SCHEMA,
        "run": about,
        "cases": sorted({_order(row): row for row in gathered.cases}.values(), key=_order),
        "scores": sorted(with_means(gathered.scores, groups), key=_score_order),
        "throughput": sorted(gathered.throughput, key=_throughput_order),
        "invariants": sorted(gathered.invariants, key=_invariant_order),
        "drawn": dict(sorted(gathered.drawn.items())),
    }


def as_json(data: Row, separators: tuple[str, str] = (", ", ": ")) -> Iterator[str]:
    """Strict JSON, piece by piece and a row a line: a number that is not finite becomes null.

    Args:
        data: by name, what may be lists, iterators or dictionaries of rows.
        separators: of what stands on a line.
    """
    one_line = functools.partial(_one_line, separators=separators)
    yield "{"
    for number, (key, value) in enumerate(data.items()):
        yield f"{',' if number else ''}\n{one_line(key)}{separators[1]}"
        if isinstance(value, list | Iterator):
            yield from _lines("[]", map(one_line, value))
        elif isinstance(value, dict):
            yield from _lines("{}", (one_line(name) + separators[1] + one_line(each) for name, each in value.items()))
        else:
            yield one_line(value)
    yield "\n}\n"


def _lines(brackets: str, rows: Iterable[str]) -> Iterator[str]:
    yield brackets[0]
    for number, row in enumerate(rows):
        yield f"{',' if number else ''}\n {row}"
    yield f"\n{brackets[1]}"


def _one_line(value: Any, separators: tuple[str, str]) -> str:
    return json.dumps(strict(value), ensure_ascii=False, allow_nan=False, separators=separators)


def read(path: Path) -> Row:
    """Read a results.json; what it lacks is empty.

    Raises:
        UsageError: it is missing, no JSON, or of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON ({error}); is it cut short?") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{path}: not a results.json of schema {SCHEMA}.")
    return {"run": {}, "cases": [], "scores": [], "throughput": [], "drawn": {}, **data}


def _remark(network: str, source: str) -> str:
    return NETWORKS[network].remark if source == "pypi" else ""


def _order(row: Row) -> tuple[str, ...]:
    return tuple(row[key] or "" for key in ("probe", "case", "metric", "network", "normalization"))


def _score_order(row: Row) -> tuple[str, ...]:
    return tuple(row[key] or "" for key in ("dataset", "kind", "subset", "metric", "network", "normalization"))


def _invariant_order(row: Row) -> tuple[str, ...]:
    return tuple(row[key] or "" for key in ("invariant", "metric", "network", "normalization"))


def _throughput_order(row: Row) -> tuple[Any, ...]:
    names = (row[key] or "" for key in ("network", "metric", "normalization"))
    return (row["image_size"], row["batch_size"], *names)


def finite(number: float | None) -> float | None:
    """A number, or None where it is not finite, as strict JSON has it."""
    return number if number is not None and math.isfinite(number) else None


def strict(value: Any) -> Any:
    """Data with None for every number that is not finite; the same object where there is none, as there are many."""
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        made = {key: strict(each) for key, each in value.items()}
        return value if all(map(operator.is_, made.values(), value.values())) else made
    if isinstance(value, list | tuple):
        listed = [strict(each) for each in value]
        return value if isinstance(value, list) and all(map(operator.is_, listed, value)) else listed
    return value

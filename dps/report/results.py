"""The data of results.json: measured rows at full precision, sorted, and the description of the run."""

import csv
import io
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import dps
from dps import scores
from dps.agreement import SCORES, Subset
from dps.errors import UsageError, WeightsError
from dps.images import digest_of_files
from dps.judgments.dataset import Dataset
from dps.metrics import Metric, Variant
from dps.photographs import Photograph
from dps.report.album import Album
from dps.rows import Row, VariantKey, case_name, finite, variant_key, was_measured
from dps.scores import Estimate
from dps.session.configuration import RunConfiguration
from dps.session.session import ScoreResult
from dps.significance import Scored

SCHEMA = 2
"""Version of results.json, increased when a name changes, not when a list or a column is added."""

LISTS = {
    "cases": ("probe", "case"),
    "scores": ("dataset", "kind", "subset"),
    "throughput": ("image_size", "batch_size"),
    "invariants": ("invariant",),
    "same": ("same_as",),
    "thresholds": ("distortion",),
    "attacks": ("attacked_on", "bound"),
}
"""Sort columns of each list of measured rows in results.json, before those of the variant."""

ALWAYS = ("cases", "scores", "throughput", "invariants")
"""Lists that are present even if empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """Rows of results.json that the tests of a run recorded; twice if a test ran twice, as with ``--dist each``.

    Attributes:
        drawn: parameters that each case was drawn with, by ``probe/case``.
        originals: score of each original image, by subset and variant; only where metrics are compared.
    """

    cases: list[Row] = field(default_factory=list)
    drawn: dict[str, Row] = field(default_factory=dict)
    scores: list[Row] = field(default_factory=list)
    originals: dict[Scored, Sequence[float]] = field(default_factory=dict)
    throughput: list[Row] = field(default_factory=list)
    album: Album = field(default_factory=Album, repr=False)
    invariants: list[Row] = field(default_factory=list)
    same: list[Row] = field(default_factory=list)
    thresholds: list[Row] = field(default_factory=list)
    attacks: list[Row] = field(default_factory=list)

    def add(self, data: Row) -> None:
        """Add the records of one test: rows by the name of their list, or one row by its singular."""
        for name, rows in data.items():
            if (plural := name if name in LISTS else f"{name}s") in LISTS:
                getattr(self, plural).extend([rows] if isinstance(rows, dict) else rows)
        if "drawn" in data:
            self.drawn.setdefault(*data["drawn"])
        if "images" in data:
            self.album.update(data["images"])
        if "originals" in data:
            subset, variant, values = data["originals"]
            self.originals[subset, VariantKey(*variant)] = values

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in LISTS)


def score_rows(dataset: Dataset, subset: Subset, variant: Variant, score: ScoreResult) -> list[Row]:
    """Return a row for each kind of score of a variant, and a row for the agreement among the judges.

    If it could not be measured, the scores are null, and the first row has an ``error``.
    """
    kinds = SCORES[subset.kind]
    names = [{"dataset": dataset.name, "kind": kind, "subset": subset.name} for kind in kinds]
    rows = [{**name, **variant.key._asdict(), **_estimate_columns(score.estimates.get(name["kind"]))} for name in names]
    if score.error:
        rows[0]["error"] = score.error
    if score.judges is not None:
        judges = VariantKey(None, None, dataset.judges)
        rows.append({**names[0], **judges._asdict(), **_estimate_columns(score.judges)})
    return rows


def add_means(rows: Iterable[Row], datasets: Iterable[Dataset]) -> list[Row]:
    """Add unweighted means over subsets to rows of scores, for each group of subsets that all have a score."""
    all_rows = list(rows)
    groups = {dataset.name: dataset.groups for dataset in datasets}
    measured: dict[tuple[str, str, VariantKey], dict[str, Row]] = {}
    for row in all_rows:
        if row["kind"] in SCORES["2afc"] and row["score"] is not None:
            measured.setdefault((row["dataset"], row["kind"], variant_key(row)), {})[row["subset"]] = row
    for (dataset, _, _), by_subset in measured.items():
        for group, subsets in groups[dataset].items():
            if by_subset.keys() >= set(subsets):
                scored = [by_subset[subset] for subset in subsets]
                mean = scores.mean_of_subsets(
                    [
                        Estimate(value=row["score"], standard_error=row["standard_error"], count=row["count"])
                        for row in scored
                    ]
                )
                all_rows.append({**scored[0], "subset": group, **_estimate_columns(mean)})
    return all_rows


def _estimate_columns(estimate: Estimate | None) -> Row:
    if estimate is None:
        return {"score": None, "standard_error": None, "count": 0, "low": None, "high": None}
    row = {"score": estimate.value, "standard_error": estimate.standard_error, "count": estimate.count}
    return row | {"low": finite(estimate.low), "high": finite(estimate.high)}


def photographs_used(configuration: RunConfiguration, drawn: Mapping[str, Row]) -> Row | None:
    """Return source, number and digest of the photographs in drawn cases; None without any, or if a file is missing."""
    cases = (case for probe in configuration.probes for case in probe.cases if case.name in drawn)
    used = {photograph for case in cases for photograph in case.photographs()}
    texts = (str(values.get(key)) for values in drawn.values() for key in ("replaced_by", "contents"))
    names = {name for text in texts for name in text.split(", ")}
    pools = {(photograph.folder, photograph.pool) for photograph in used}
    used |= {Photograph(name, folder) for folder, pool in pools for name in pool if name in names}
    try:
        sha256 = digest_of_files(photograph.path() for photograph in used)
    except (WeightsError, OSError):
        return None
    folders = sorted({str(photograph.folder or "built-in") for photograph in used})
    return {"source": ", ".join(folders), "count": len(used), "sha256": sha256} if used else None


def about_run(configuration: RunConfiguration, command: str, threads: int, *, interrupted: bool = False) -> Row:
    """Return ``run`` of results.json without ``gate_outcome``; docs/results.md describes its keys."""
    datasets = [{"name": data.name, "about": data.about, "title": data.title} for data in configuration.datasets]
    about: Row = {
        "dps": dps.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "device": configuration.options.device,
        "threads": threads,
        "seed": 0,
        "command": command,
        "reduction": configuration.options.reduction,
        "gate": configuration.gate,
        "baseline": configuration.baseline.where or None,
        "against": configuration.against,
        "cases": configuration.options.cases,
        "size": configuration.options.size,
        "images": str(configuration.images[0].folder) if configuration.images else None,
        "probes": {probe.name: probe.asks for probe in configuration.probes},
        "severity": {
            probe.name: {
                "by": severity.by,
                "unit": severity.unit,
                "detection_threshold": severity.people.notice if severity.people else None,
                "source": severity.people.source if severity.people else "",
            }
            for probe in configuration.probes
            if (severity := probe.severity)
        },
        "counterparts": {probe.name: list(probe.counterparts) for probe in configuration.probes if probe.counterparts},
        "sanity": [probe.name for probe in configuration.probes if probe.sanity],
        "probes_sha256": digest_of_files(probe.path for probe in configuration.probes),
        "dataset": next(iter(datasets), None),
        "datasets": datasets,
        "networks": {
            name: {"weights": net.source, "sha256": net.sha256, "layers": list(net.layers), "remark": net.remark}
            for name, net in configuration.networks.items()
        },
        "metrics": {
            variant.metric.name: variant.metric.provenance
            for variant in configuration.variants
            if isinstance(variant.metric, Metric) and variant.metric.provenance
        },
    }
    return {**about, "interrupted": True} if interrupted else about


def document(about: Row, records: RunRecords, datasets: Iterable[Dataset] = ()) -> Row:
    """Return all of results.json: ``schema``, ``run``, the sorted lists of `RunRecords`, and ``drawn``.

    A case that was measured more than once has one row, its worst: not measured, failed or passed. For
    `datasets` see `add_means`.
    """
    rows = {name: getattr(records, name) for name in LISTS}
    rows["cases"] = sorted(rows["cases"], key=lambda row: (was_measured(row), bool(row["passed"])), reverse=True)
    rows["scores"] = add_means(rows["scores"], datasets)
    lists = {}
    for name, columns in LISTS.items():
        unique = {
            (*(row[column] for column in columns), *(n or "" for n in variant_key(row))): row for row in rows[name]
        }
        if unique or name in ALWAYS:
            lists[name] = [unique[key] for key in sorted(unique)]
    return {"schema": SCHEMA, "run": about, **lists, "drawn": dict(sorted(records.drawn.items()))}


def read(path: Path) -> Row:
    """Read a results.json; missing lists are empty.

    Raises:
        UsageError: it is missing, not JSON, or of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON ({error}); is it cut short?") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{path}: not a results.json of schema {SCHEMA}; if an older dps wrote it, run again.")
    return {"run": {}, **{name: [] for name in ALWAYS}, "drawn": {}, **data}


VALUE_COLUMNS = ("distance", "nearest_reference", "nearest_reference_distance", "margin", "images_sha256", "error")


def as_csv(rows: Iterable[Row], drawn: Mapping[str, Row], by: str | None = None) -> str:
    """Return rows of cases as a tidy table with a header, and a column for the drawn parameter `by`.

    Missing keys are written as -, so that grouping by them loses no row.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parameters = [] if by is None else [by]
    writer.writerow(["probe", "case", *parameters, *VariantKey._fields, "measured", "passed", *VALUE_COLUMNS])
    for row in rows:
        values = drawn.get(case_name(row), {})
        keys = [row["probe"], row["case"], *(values.get(name) for name in parameters), *variant_key(row)]
        shown = ["-" if key in (None, "") else key for key in keys]
        writer.writerow([*shown, was_measured(row), row["passed"], *(row.get(name) for name in VALUE_COLUMNS)])
    return text.getvalue()

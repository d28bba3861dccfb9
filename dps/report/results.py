"""results.json: what a run measured, at full precision, in strict JSON with sorted rows."""

import json
import math
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

import dps
from dps.errors import UsageError
from dps.images import digest_of_files
from dps.metrics import Variant
from dps.networks import NETWORKS
from dps.probes import Case
from dps.run import Answer, Question

Row: TypeAlias = dict[str, Any]
"""One row of results.json: plain data."""

SCHEMA = 1


def case_row(case: Case, variant: Variant, answer: Answer) -> Row:
    """What one case came to with one variant, as results.json has it."""
    verdict = answer.verdict
    row: Row = {
        "probe": case.probe,
        "case": case.id,
        "metric": variant.metric.name,
        "network": variant.network,
        "normalization": variant.normalization,
        "passed": verdict.passed,
        "distance": verdict.distance,
        "nearest_reference": verdict.nearest_reference,
        "nearest_reference_distance": verdict.nearest_reference_distance,
        "margin": verdict.margin,
        "images_sha256": answer.images_sha256 or None,
    }
    if verdict.error:
        row["error"] = verdict.error
    if verdict.layers:
        row["layers"] = list(verdict.layers)
        row["nearest_reference_layers"] = list(verdict.nearest_reference_layers)
    return row


def about_run(question: Question, command: str, threads: int, *, interrupted: bool = False) -> Row:
    """What a run was: versions, device, weights, and what is one value a run."""
    about: Row = {
        "dps": dps.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "device": question.device,
        "threads": threads,
        "seed": 0,
        "command": command,
        "reduction": question.reduction,
        "gate": question.gate,
        "cases": question.cases,
        "probes": {probe.name: probe.asks for probe in question.probes},
        "probes_sha256": digest_of_files(probe.path for probe in question.probes),
        "networks": {
            name: {"weights": weights.source, "sha256": weights.sha256, "remark": _remark(name, weights.source)}
            for name, weights in question.weights.items()
        },
    }
    if interrupted:
        about["interrupted"] = True
    return about


def document(about: Row, rows: Iterable[Row], drawn: dict[str, Row], throughput: Iterable[Row] = ()) -> Row:
    """The whole of results.json."""
    return {
        "schema": SCHEMA,
        "run": about,
        "cases": sorted(rows, key=_order),
        "scores": [],
        "throughput": sorted(throughput, key=_throughput_order),
        "drawn": dict(sorted(drawn.items())),
    }


def as_json(data: Row) -> str:
    """Strict JSON: a number that is not finite becomes null."""
    return json.dumps(_strict(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(path: Path) -> Row:
    """Read a results.json.

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
    return data


def _remark(network: str, source: str) -> str:
    return NETWORKS[network].remark if source == "pypi" else ""


def _order(row: Row) -> tuple[str, ...]:
    return tuple(row[key] or "" for key in ("probe", "case", "metric", "network", "normalization"))


def _throughput_order(row: Row) -> tuple[Any, ...]:
    names = (row[key] or "" for key in ("network", "metric", "normalization"))
    return (row["image_size"], row["batch_size"], *names)


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return value

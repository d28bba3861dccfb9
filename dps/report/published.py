"""The published tables of the paper, never mixed with measured results."""

import functools
from collections.abc import Mapping
from typing import Any

import yaml

from dps import locations
from dps.rows import VariantKey

DATASET = "bapps"
"""The data set of the paper's scores."""


def cell(variant: VariantKey, column: str) -> str:
    """Return the paper's text of a variant and a probe, ``11/30``, or a score, ``82.6`` of ``2afc/cnn``; or empty."""
    return _cells().get((variant, column), "")


def table1() -> Any:
    """Return Table 1 as in ``reports/paper.yaml``: probes, numbers of cases, and descriptions of the images."""
    return _read()["table1"]


def networks() -> list[str]:
    """Return the networks of Table 1."""
    return list(dict.fromkeys(network for variant, _ in _cells() if (network := variant.network)))


def source() -> str:
    """Return the publication of the tables."""
    return str(_read()["source"])


@functools.cache
def _cells() -> Mapping[tuple[VariantKey, str], str]:
    first, table2 = table1(), _read()["table2"]
    cells = {}
    for metric, passed in first["passed"].items():
        for network, counts in passed.items() if isinstance(passed, dict) else [(None, passed)]:
            variant = VariantKey(network, "none" if network else None, metric)
            for probe, count, cases in zip(first["probes"], counts, first["cases"], strict=True):
                cells[variant, probe] = f"{count}/{cases}"
    columns = ["jnd/pooled" if column == "jnd" else f"2afc/{column}" for column in table2["columns"]]
    for metric, by_network in {**table2["scores"], "human": {None: table2["human"]}}.items():
        for network, scores in by_network.items():
            variant = VariantKey(network, "unit" if network else None, metric)
            printed = zip(columns, scores, strict=True)
            cells |= {(variant, column): f"{score:.1f}" for column, score in printed if score is not None}
    return cells


@functools.cache
def _read() -> Any:
    return yaml.safe_load(locations.data("paper.yaml").read_text(encoding="utf-8"))

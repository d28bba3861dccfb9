"""The paper's published tables: never measured here, always marked as the paper's."""

import functools
from collections.abc import Mapping
from typing import Any

import yaml

from dps import locations
from dps.rows import VariantKey

DATASET = "bapps"
"""The data set that the paper's scores were measured on."""


def cell(variant: VariantKey, column: str) -> str:
    """Return what the paper printed of a variant and a probe, ``11/30``, or of a score such as ``2afc/cnn``, ``82.6``.

    Empty where it has nothing.
    """
    return _cells().get((variant, column), "")


def source() -> str:
    """Return where the tables were published."""
    return str(_read()["source"])


@functools.cache
def _cells() -> Mapping[tuple[VariantKey, str], str]:
    table1, table2 = _read()["table1"], _read()["table2"]
    cells = {}
    for metric, passed in table1["passed"].items():
        for network, counts in passed.items() if isinstance(passed, dict) else [(None, passed)]:
            variant = VariantKey(network, "none" if network else None, metric)
            for probe, count, cases in zip(table1["probes"], counts, table1["cases"], strict=True):
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

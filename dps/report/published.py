"""The paper's published tables: never measured here, always marked as the paper's."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dps import locations
from dps.rows import VariantKey

PAPER = locations.data("paper.yaml")

DATASET = "bapps"
"""The data set that the paper's scores were measured on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A table of the paper.

    Attributes:
        source: where it was published.
        normalization: that all its networks were measured with.
        cells: as printed, by metric, network or None, and column.
    """

    source: str
    normalization: str
    cells: Mapping[tuple[str, str | None, str], str]

    def get(self, variant: VariantKey, column: str) -> str:
        """Return a cell such as ``11/30``; empty where the paper has none."""
        if variant.normalization not in (None, self.normalization):
            return ""
        return self.cells.get((variant.metric, variant.network, column), "")


def table1() -> Published:
    """Return the paper's Table 1: cases passed by probe, such as ``11/30``."""
    data = _read()
    probes, cases, passed = (data["table1"][key] for key in ("probes", "cases", "passed"))
    cells: dict[tuple[str, str | None, str], str] = {
        (metric, network, probe): f"{count}/{total}"
        for metric, networks in passed.items()
        for network, counts in (networks.items() if isinstance(networks, dict) else [(None, networks)])
        for probe, count, total in zip(probes, counts, cases, strict=True)
    }
    return Published(source=data["source"], normalization="none", cells=cells)


def table2() -> Published:
    """Return the paper's Table 2: scores in percent by what they are of, such as ``2afc/cnn``."""
    data = _read()
    table = data["table2"]
    columns = ["jnd/pooled" if column == "jnd" else f"2afc/{column}" for column in table["columns"]]
    rows: list[tuple[str, str | None, Any]] = [("human", None, table["human"])]
    rows += [
        (metric, network, row) for metric, by_network in table["scores"].items() for network, row in by_network.items()
    ]
    cells = {
        (metric, network, column): f"{score:.1f}"
        for metric, network, row in rows
        for column, score in zip(columns, row, strict=True)
        if score is not None
    }
    return Published(source=data["source"], normalization="unit", cells=cells)


@functools.cache
def _read() -> Any:
    return yaml.safe_load(PAPER.read_text(encoding="utf-8"))

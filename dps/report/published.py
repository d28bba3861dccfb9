"""The paper's published tables: never measured here, always marked as the paper's."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from dps import locations

PAPER = locations.data("paper.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table1:
    """The paper's Table 1.

    Attributes:
        source: where it was published.
        what: what its numbers are.
        passed: cases passed and cases, by (metric, network or None, probe); without unit normalization.
    """

    source: str
    what: str
    passed: dict[tuple[str, str | None, str], tuple[int, int]]

    def get(self, metric: str, network: str | None, normalization: str | None, probe: str) -> str:
        """A cell such as ``11/30``; empty where the paper has none, as for unit normalization."""
        if normalization == "unit" or (metric, network, probe) not in self.passed:
            return ""
        passed, cases = self.passed[metric, network, probe]
        return f"{passed}/{cases}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table2:
    """The paper's Table 2.

    Attributes:
        source: where it was published.
        what: what its numbers are.
        dataset: what they were measured on.
        scores: in percent, by (metric, network or None, what it is a score of, such as ``2afc/cnn``); with unit
            normalization.
    """

    source: str
    what: str
    dataset: str
    scores: dict[tuple[str, str | None, str], float]

    def get(self, metric: str, network: str | None, normalization: str | None, of: str) -> str:
        """A cell such as ``70.6``; empty where the paper has none, as for no normalization."""
        if normalization == "none" or (metric, network, of) not in self.scores:
            return ""
        return f"{self.scores[metric, network, of]:.1f}"


def table2(path: Path = PAPER) -> Table2:
    """Read the paper's Table 2."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    table = data["table2"]
    columns = ["jnd/pooled" if column == "jnd" else f"2afc/{column}" for column in table["columns"]]
    rows = [("human", None, table["human"])]
    rows += [(metric, network, row) for metric, of in table["scores"].items() for network, row in of.items()]
    return Table2(
        source=data["source"],
        what=table["what"],
        dataset="bapps",
        scores={
            (metric, network, column): score
            for metric, network, row in rows
            for column, score in zip(columns, row, strict=True)
            if score is not None
        },
    )


def table1(path: Path = PAPER) -> Table1:
    """Read the paper's Table 1."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    table = data["table1"]
    passed = {}
    for metric, networks in table["passed"].items():
        for network, counts in networks.items() if isinstance(networks, dict) else [(None, networks)]:
            for probe, count, cases in zip(table["probes"], counts, table["cases"], strict=True):
                passed[metric, network, probe] = (count, cases)
    return Table1(source=data["source"], what=table["what"], passed=passed)

"""The paper's published tables: never measured here, always marked as the paper's."""

from dataclasses import dataclass
from pathlib import Path

import yaml

PAPER = Path(__file__).resolve().parents[2] / "reports" / "paper.yaml"


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

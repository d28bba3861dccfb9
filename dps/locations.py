"""Locations of the files that are part of dps: suites, probes, the paper's tables, baselines and tuned metrics."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

IN_CHECKOUT = {
    "suites": "suites",
    "probes": "probes",
    "paper.yaml": "reports/paper.yaml",
    "baselines": "reports/baselines",
    "tuned": "reports/tuned",
}


def data(name: str) -> Path:
    """Return the path of a key of `IN_CHECKOUT`, next to the imported package or, if installed, in ``dps/data``."""
    installed = PACKAGE / "data"
    return installed / name if installed.is_dir() else PACKAGE.parent / IN_CHECKOUT[name]

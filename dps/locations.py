"""Where the files are that dps comes with: suites, probes, the paper's tables, the baselines and the tuned metrics."""

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
    """Return the path of something that dps comes with: a key of `IN_CHECKOUT`.

    It belongs to the dps that is imported: in an installed copy in ``dps/data``, in a checkout beside the package.
    """
    installed = PACKAGE / "data"
    return installed / name if installed.is_dir() else PACKAGE.parent / IN_CHECKOUT[name]

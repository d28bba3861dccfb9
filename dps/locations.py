"""Where the files are that dps comes with: suites, probes, the paper's tables and the baselines."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

IN_CHECKOUT = {
    "suites": "suites",
    "probes": "probes",
    "paper.yaml": "reports/paper.yaml",
    "baselines": "reports/baselines",
}


def data(name: str) -> Path:
    """Return the path of a file or folder that dps comes with.

    Args:
        name: ``suites``, ``probes``, ``paper.yaml`` or ``baselines``.

    Returns:
        In an installed copy a path in ``dps/data``; in a checkout the one beside the package. It always belongs to
        the dps that is imported.
    """
    installed = PACKAGE / "data"
    return installed / name if installed.is_dir() else PACKAGE.parent / IN_CHECKOUT[name]

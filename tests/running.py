"""Suites as a user runs them, in this process: shared by the tests of suites."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.figure  # noqa: F401 - see torchvision
import pytest
import torchvision  # noqa: F401 - pytester forgets what a run imports first, and PyTorch's parts load only once

ROOT = Path(__file__).resolve().parents[1]
SUITES = ROOT / "suites"

TINY = """
probe: tiny
size: 32
cases:
  - id: $family-$number
    draw: 3
    original: {scene: pattern, family: {cycle: [rings, dots, stripes]}}
    distorted: {invert: {}}
    references: standard
"""


@dataclass(frozen=True)
class Run:
    """What one run of a suite came to."""

    code: int
    outcomes: dict[str, int]
    lines: list[str]
    errors: list[str]
    folder: Path

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def results(self) -> dict[str, Any]:
        """results.json, which must be strict."""
        text = (self.folder / "results.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.results["cases"]
        return found


Suite = Callable[..., Run]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Run suites in a folder of their own, which holds ``tiny.yaml``; reports go there, too."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):  # of these tests, not of the run inside them
        monkeypatch.delenv(name, raising=False)
    (pytester.path / "tiny.yaml").write_text(TINY, encoding="utf-8")

    def run_suite(*options: str, paths: tuple[str, ...] = (str(SUITES / "test_probes.py"),)) -> Run:
        folder = pytester.path / "report"
        where = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
        where += ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]  # a cache of ours; seconds a run
        done = pytester.runpytest_inprocess(*paths, *where, f"--report-dir={folder}", *options, no_reraise_ctrlc=True)
        outcomes = {} if done.ret == 4 or "--collect-only" in options else _outcomes(done)
        return Run(int(done.ret), outcomes, done.outlines, done.errlines, folder)

    return run_suite


def _outcomes(done: pytest.RunResult) -> dict[str, int]:
    try:
        return done.parseoutcomes()
    except ValueError:  # nothing ran
        return {}

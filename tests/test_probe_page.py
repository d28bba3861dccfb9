"""The page of the probes: written by its command, and as the probes are now."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dps import probes
from dps.report.tables import escape_markdown
from dps.rows import Row
from tests import record_probe_page, record_separation
from tests.record_probe_page import COMMAND
from tests.rows import PIXEL, row

PAGE = probes.BUILT_IN / "README.md"

PROBE = """probe: small
asks: Is it *so*?
because: It is.
source: drawn here
severity: {by: off_black, unit: of black}
cases:
  - id: $family-$number
    draw: 3
    original: {scene: pattern, family: {cycle: [rings, dots]}, off_black: {between: [0.0, 0.2]}}
    distorted: {invert: {}}
    references: [{blur: {sigma: 2.0}}]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(PROBE, encoding="utf-8")
    (tmp_path / "results.json").write_text(json.dumps(document()), encoding="utf-8")
    return tmp_path


def document(**changed: Any) -> Row:
    """A made-up run of that probe by two metrics."""
    cases = [
        row(0.5 if variant["network"] == "alexnet" else -0.5, probe="small", case=case, **variant)
        for variant in (PIXEL, {"network": "alexnet"}, {"network": "vgg16"})
        for case in ("rings-000", "dots-001", "rings-002")
    ]
    networks = {name: {"weights": "pypi", "sha256": "0123456789abcdef"} for name in ("alexnet", "vgg16")}
    run = {"command": "pytest suites/", "dps": "0", "torch": "1", "cases": None, "networks": networks, "severity": {}}
    return {"schema": 2, "run": run, "cases": cases, "drawn": {}, **changed}


def test_the_page_and_its_sheets_by_hand(here: Path) -> None:
    written = record_probe_page.write(document(), probes.load(["small.yaml"]), Path("page.md"))
    assert [str(path) for path in written] == ["sheets/small.png", "page.md"]
    text = (here / "page.md").read_text(encoding="utf-8")
    assert text.startswith(f"# Probes\n\nWritten by\n\n    {COMMAND}\n")
    assert "`pytest suites/`: dps 0, PyTorch 1, weights\nalexnet pypi `0123456789ab`, vgg16" in text
    assert "## small: 3 cases\n\n*Is it \\*so\\*?*\n\n![Cases of small](sheets/small.png)\n" in text
    assert PROBE[PROBE.index("cases:") :] in text
    assert "| metric | normalization | alexnet | vgg16 |\n| --- | --- | ---: | ---: |" in text
    assert "| pixel |  | 0/3 0-57 |  |\n| sort | none | 3/3 43-100 | 0/3 0-57 |" in text
    with PIL.Image.open(here / "sheets/small.png") as sheet:
        assert sheet.format == "PNG"


def test_pairs_that_differ_by_hand() -> None:
    """Of variants that pass 12, 12 and 2 of 12 cases: p is 2 / 2^10 for two pairs, 3 times that after Holm, and 1."""
    passes = np.array([[True] * 12, [True] * 12, [True] * 2 + [False] * 10])
    assert record_separation.separation(passes) == {
        "variants": 3, "cases": 12, "all_passed": 2, "pairs": 3, "separated": 2,
    }  # fmt: skip
    assert record_separation.separation(passes[:, :7])["separated"] == 0  # 2 / 2^5 is more than 0.05


def test_sanity_checks_are_the_probes_that_separate_no_pair_of_the_recorded_run() -> None:
    recorded = json.loads(record_separation.RECORDED.read_text(encoding="utf-8"))["probes"]
    known = {probe.name: probe.sanity for probe in probes.load([probes.BUILT_IN])}
    assert known == {name: counts["separated"] == 0 for name, counts in recorded.items()}
    assert {counts["cases"] for counts in recorded.values()} == {100}


def test_the_committed_page_knows_all_probes_as_they_are_now() -> None:
    text = PAGE.read_text(encoding="utf-8")
    known = probes.load([probes.BUILT_IN])
    assert f"    {COMMAND}\n" in text
    for probe in known:
        section = (
            record_probe_page.heading(probe),
            probe.asks,
            probe.because,
            probe.source,
            record_probe_page.ranges(probe),
        )
        missing = [part for part in section if escape_markdown(part) not in text and part not in text]
        assert not missing, f"{PAGE} is not up to date; after pytest suites/test_probes.py --gate off: {COMMAND}"
    sheets = sorted((PAGE.parent / "sheets").glob("*.png"))
    assert [path.stem for path in sheets] == sorted(probe.name for probe in known)
    assert max(path.stat().st_size for path in sheets) < 60_000
    assert text.count("\n## ") == len(known) + 1  # and what was left out

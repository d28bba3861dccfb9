"""``dps explain``, ``dps probes check`` and ``dps distance``, called in process as from a shell."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner, Result

from dps import explain, probes
from dps.cli import main
from dps.report import sheets

PROBE = """
probe: mine
size: 32
cases:
  - id: $family-$number
    draw: 4
    original: {scene: pattern, family: {cycle: [rings, dots]}}
    distorted: {invert: {}}
    references: standard
"""


def dps(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in {"a": 0, "b": 51, "c": 255}.items():
        PIL.Image.fromarray(np.full((40, 40, 3), value, dtype=np.uint8)).save(f"{name}.png")
    Path("text.png").write_text("no image")
    Path("mine.yaml").write_text(PROBE)
    return tmp_path


def test_a_case_is_explained(here: Path) -> None:
    result = dps(
        "explain", "mine/rings-000", "--metric", "sort", "--probes", "mine.yaml", "--layers", "2", "--out", "o"
    )
    assert result.exit_code == 0, result.output
    assert "of the distance to the distorted image" in " ".join(result.output.split())
    names = {path.name for path in (here / "o").iterdir()}
    assert names == {"explain.html", "images.png", "layers.png", "layer-2-sort.png", "layer-2-sort-values.png"}


def test_files_are_explained(here: Path) -> None:
    result = dps("explain", "a.png", "b.png", "c.png", "--metric", "pixel", "--out", "o")
    assert result.exit_code == 0, result.output
    assert "distorted at 0.04, and reference 'c.png' at 1" in " ".join(result.output.split())  # 0.2^2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", "mine/ring-0", "--probes", "mine.yaml", "--out", "o"], "Did you mean mine/rings-0"),
        (["explain", "a.png", "--out", "o"], "a.png is an image file; name the distorted image, too."),
        (["explain", "a.png", "b.png", "--layers", "x", "--out", "o"], "--layers takes numbers"),
        (["distance", "a.png", "none.png"], "none.png: no such image file."),
        (["distance", "a.png", "text.png"], "text.png: not an image that can be read"),
        (["distance", "a.png", "."], ".: a folder, not an image file."),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_written(here: Path, words: list[str], message: str) -> None:
    result = dps(*words)
    assert result.exit_code == 4
    assert message in result.output
    assert not (here / "o").exists()


def test_layers_are_named_with_their_share(here: Path) -> None:
    result = dps("distance", "a.png", "c.png", "--per-layer", "--metric", "mean")
    lines = result.output.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines[::4]] == ["layer 1 (features.1)", "layer 5 (features.11)"]
    assert sum(
        float(line.split("(")[-1].removesuffix(" %)").removeprefix("under ")) for line in lines
    ) == pytest.approx(100, abs=3)


def test_a_good_probe_is_counted_and_drawn(here: Path) -> None:
    result = dps("probes", "check", "mine.yaml")
    assert result.exit_code == 0
    assert "mine: 4 cases, mine.yaml\n" in result.output
    assert "family: rings 2, dots 2\n" in result.output
    assert (here / "sheets" / "mine.png").exists()


def test_a_wrong_probe_is_one_line_with_its_place(here: Path) -> None:
    Path("mine.yaml").write_text(PROBE.replace("invert: {}", "invrt: {}"))
    result = dps("probes", "check", "mine.yaml")
    assert result.exit_code == 4
    assert "mine.yaml:8: unknown distortion 'invrt'. Did you mean 'invert'?" in result.output
    assert len(result.output.splitlines()) == 1
    assert not (here / "sheets").exists()


def test_a_case_that_asks_nothing_is_named(here: Path) -> None:
    Path("mine.yaml").write_text(PROBE.replace("invert: {}", "translate: {right: 0, down: 0}"))
    result = dps("probes", "check", "mine.yaml")
    assert result.exit_code == 1
    assert "case 'rings-000': the distorted image equals the original" in result.output
    assert not (here / "sheets").exists()


def test_a_sheet_of_several_probes_is_as_wide_as_asked() -> None:
    asked = probes.load([probes.BUILT_IN], 1)
    cases = [explain.find(asked, name) for name in ("invert/checkerboard-000", "color_stain/mosaic-000")]
    wide = 3 * 96 + 2 * 2 + 10  # three images, two slits, a gap
    assert sheets.sheet(cases, 2 * wide + 10).width == 2 * wide + 10
    assert sheets.sheet(cases, 2 * wide + 9).width == wide + 10  # one below the other

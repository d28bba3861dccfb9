"""Table 1 on a folder of the form of the paper's images; those here are drawn, and say nothing about the paper's."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dps import images
from dps.cli import main
from dps.images import Pixels
from dps.measurement import Engine, engine
from dps.probes.cases import STANDARD_REFERENCES, standard_reference
from dps.report import paper_images

SIZE = 40

Change: TypeAlias = Callable[[Path], object]
"""What is done to a folder ``images``."""


def gray(value: int) -> Pixels:
    return np.full((SIZE, SIZE, 3), value, dtype=np.uint8)


def halves(dark: int, light: int) -> Pixels:
    return np.concatenate([gray(dark)[: SIZE // 2], gray(light)[: SIZE // 2]])


def write(folder: Path, pixels: dict[str, Pixels]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in pixels.items():
        images.write(folder / name, image)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """11 inversions, 2 rotations, 5 translations and 5 stains; not to be changed."""
    root = tmp_path_factory.mktemp("drawn") / "clone"
    here = root / "images"
    write(here / "invert", {f"p{i}.png": halves(0, 254 - i) for i in range(11)})
    write(here / "invert", {f"p{i}_invert.PNG": halves(255, 1 + i) for i in range(11)})
    write(here / "rotate", {"a.png": halves(0, 255), "a_90.jpg": halves(0, 243), "a_180.bmp": halves(255, 0)})
    write(here / "translate", {f"b{i}.png": gray(200 + i) for i in range(5)})
    write(here / "translate", {f"b{i}_moved.png": gray(210 + i) for i in range(5)})
    write(here / "color_stain", {f"c{i}.png": gray(100 + i) for i in range(5)})
    write(here / "color_stain", {f"c{i}_stain.png": gray(110 + i) for i in range(5)})
    write(here / "color_stain", {f"c{i}_ref.png": gray(121 + i if i else 109) for i in range(5)})  # 21 or 9 away
    write(
        here / "ref", {f"ref_{name}.png": standard_reference(name, SIZE, SIZE).pixels for name in STANDARD_REFERENCES}
    )
    return root


@pytest.fixture
def clone(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(drawn, "clone"))


def paper(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["paper", *map(str, words), "--network=alexnet"], env={"COLUMNS": "100"})


def test_verdicts_and_marks_by_hand(clone: Path) -> None:
    (clone / "images" / "rotate" / "README.md").write_text("about the images")
    (clone / "images" / "more").mkdir()
    (clone / "images" / ".DS_Store").write_bytes(b"\0")
    done = paper(clone, "--metric=pixel")
    assert (done.exit_code, done.stderr) == (0, "")
    # inverted, every pixel is 235 or more off, and of gray at most 128; 243 for 255 is closer than any reference, and
    # upside down is inverted; 10 off is closer than white at 51 (255 - 204); 10 against 9, and then against 21
    row = "|  |  | pixel | 0/11 | *= 0/11* | 1/2 | *17/30* | 5/5 | *0/5* | 4/5 | *0/5* |"
    assert row in Path("dps-paper/table1.md").read_text().splitlines()
    latex = r"pixel & 0/11 & \textit{= 0/11} & 1/2 & \textit{17/30} & 5/5 & \textit{0/5} & 4/5 & \textit{0/5} \\"
    assert latex in Path("dps-paper/table1.tex").read_text()
    words = (
        "1 of 4 cells agree with the paper's Table 1.",
        "rotate: 2 distorted images, but 30 in the paper; its cells cannot be compared.",
        "written: dps-paper: results.json, table1.md, table1.tex",
    )
    assert done.stdout.splitlines()[-3:] == list(words)
    rows = {row["case"]: row for row in json.loads(Path("dps-paper/results.json").read_text())["cases"]}
    assert rows["c0_stain"]["nearest_reference"] == "color_stain/c0_ref.png"
    distances = rows["c0_stain"]["distance"], rows["c0_stain"]["nearest_reference_distance"]
    assert distances == (pytest.approx((10 / 255) ** 2), pytest.approx((9 / 255) ** 2))


def test_each_image_goes_through_the_network_once(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    run, represent = Engine._run, Engine._represent

    def count_run(self: Engine, pixels: list[Pixels], *more: Any, **named: Any) -> Any:
        seen.extend(images.digest([each]) for each in pixels)
        return run(self, pixels, *more, **named)

    def count_represent(self: Engine, shared: list[images.Image], parts: Any) -> Any:
        seen.extend(image.digest for image in shared)
        return represent(self, shared, parts)

    monkeypatch.setattr(engine, "IMAGES_AT_ONCE", 1)  # at 96 x 96: each original is a batch of its own
    monkeypatch.setattr(Engine, "_run", count_run)
    monkeypatch.setattr(Engine, "_represent", count_represent)
    done = paper(clone, "--metric=sort,mean")
    assert done.exit_code == 0
    assert "of 8 cells agree" in done.stdout
    files = {images.digest([images.read(path)]) for path in clone.rglob("*.*") if path.is_file()}
    assert sorted(seen) == sorted(files)


def remove(name: str) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def add(name: str, content: Pixels) -> Change:
    return lambda folder: images.write(folder / name, content)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            remove(""),
            "clone: images found: 0 in invert, 0 in rotate, 0 in translate, 0 in color_stain, 0 in ref; there",
        ),
        (remove("rotate"), "clone/images: images found: 22 in invert, 0 in rotate, 10 in translate, 15 in color_stain"),
        (
            remove("ref/ref_red.png"),
            "15 in color_stain, 6 in ref; there must be some of each probe, and 7 in ref. Name",
        ),
        (
            remove("color_stain/c1_ref.png"),
            "clone/images/color_stain/c1_stain.png: its reference is missing, c1_stain_ref.* or c1_ref.*.",
        ),
        (
            add("rotate/a_90.jpg", halves(0, 250)[:30]),
            "a_90.jpg has 40 x 30 pixels, but its case 40 x 40; all images of a case must have",
        ),
        (
            add("rotate/a_90.jpg", halves(0, 255)),
            "clone/images/rotate: case 'a_90': the distorted image equals the original, so",
        ),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_measured(clone: Path, change: Change, fault: str) -> None:
    change(clone / "images")
    done = paper(clone, "--metric=pixel")
    assert done.exit_code == 4
    (line,) = done.output.splitlines()
    assert fault in line
    assert not Path("dps-paper").exists()


def test_the_longest_name_is_the_original(clone: Path) -> None:
    folder = clone / "images"
    write(folder / "rotate", {"a_two.png": halves(9, 255), "a_two_90.png": halves(9, 250), ".a_x.png": gray(1)})
    write(folder / "color_stain", {"c0_dot.png": gray(105), "c0_dot_ref.png": gray(150)})
    _, rotate, _, stain = paper_images.load([folder])  # the folder images itself
    files = {case.id: [r.label for r in case.recipes()][:3] for case in (*rotate.cases, *stain.cases)}
    assert list(files)[:4] == ["a_180", "a_90", "a_two_90", "c0_dot"]
    assert files["a_90"] == ["rotate/a.png", "rotate/a_90.jpg", "ref/ref_black.png"]
    assert files["a_two_90"][0] == "rotate/a_two.png"
    assert files["c0_dot"] == ["color_stain/c0.png", "color_stain/c0_dot.png", "color_stain/c0_dot_ref.png"]
    assert files["c0_stain"][2] == "color_stain/c0_ref.png"


def test_ctrl_c_ends_it_with_nothing_written(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "measure", interrupt)
    done = paper(clone, "--metric=pixel")
    assert (done.exit_code, done.stdout, done.stderr.strip()) == (2, "", "interrupted")
    assert list(Path("dps-paper").iterdir()) == []


def test_what_could_not_be_measured_is_said_and_is_exit_code_1(clone: Path) -> None:
    """Of a metric that has no number for white above black, which is one rotation."""
    Path("own.py").write_text(
        "def nan(a, b):\n"
        "    no_number = (b[:, 0, 0, 0] == 1) & (b[:, 0, -1, 0] == 0)\n"
        "    return (a - b).abs().mean((1, 2, 3)).masked_fill(no_number, float('nan'))\n"
    )
    done = paper(clone, "--metric=own.py:nan")
    assert done.exit_code == 1
    assert "The paper has no numbers for these metrics, networks and normalizations." in done.stdout
    assert re.search(r"^own.py:nan +0/11 +1/1 \(1 not measured\) +5/5 ", done.stdout, re.MULTILINE)

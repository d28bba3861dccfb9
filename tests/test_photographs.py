"""Photographs as contents: read, turned upright, reduced exactly, drawn by every scene; built-in ones and one's own."""

import gc
import hashlib
import http.server
import io
import itertools
import threading
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dps import notes, photographs, probes, weights
from dps.errors import DpsError, DrawError, ProbeError, UsageError, WeightsError
from dps.images import Pixels, digest_of_files
from dps.options import Options
from dps.photographs import BUILT_IN, Photograph, averaged
from dps.probes import Case, Probe
from dps.report import pass_fractions, results, strata
from dps.report.pass_fractions import Count
from dps.rows import Row
from dps.scenes.contents import photo
from dps.scenes.rng import Rng
from dps.session.configuring import configure
from tests import rows as made_up_rows
from tests.running import Suite, suite

__all__ = ["suite"]

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notes.clear()


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """Smooth colors with some noise, unlike any other seed's."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3))
    return coarse.repeat(-(-height // 4), axis=0).repeat(-(-width // 4), axis=1)[:height, :width].astype(np.uint8)


def save(path: Path, pixels: Pixels, **options: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def folder() -> Path:
    """Three photographs, whose names are in another order than they were written."""
    for seed, name in enumerate(["c.png", "b.bmp", "a.webp"]):
        save(Path("mine") / name, noise(100, 160, seed), **({"lossless": True} if name == "a.webp" else {}))
    return Path("mine")


# --------------------------------------------------------------------------------------------- reduction


def by_fractions(pixels: Pixels, height: int, width: int) -> Pixels:
    """The mean of each part, in exact fractions, halves rounded up: slow, and written independently."""

    def overlaps(length: int, count: int) -> list[list[Fraction]]:
        edges = [Fraction(k * length, count) for k in range(count + 1)]
        return [
            [max(Fraction(0), min(high, Fraction(i + 1)) - max(low, Fraction(i))) for i in range(length)]
            for low, high in itertools.pairwise(edges)
        ]

    down, across = (
        np.array(overlaps(length, count), dtype=object)
        for length, count in zip(pixels.shape[:2], (height, width), strict=True)
    )
    sums = np.einsum("ai,bj,ijc->abc", down, across, pixels.astype(object))
    means = sums * Fraction(height * width, pixels.shape[0] * pixels.shape[1])
    return np.array([int((2 * mean + 1) // 2) for mean in means.flat], np.uint8).reshape(means.shape)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 20), st.integers(0, 99), st.data())
def test_a_reduced_pixel_is_the_mean_of_its_part(height: int, width: int, seed: int, data: st.DataObject) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    smaller = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    assert (averaged(pixels, *smaller) == by_fractions(pixels, *smaller)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright_whatever_its_format_and_orientation(orientation: int) -> None:
    upright = noise(64, 80)
    back = {
        2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE",
        8: "ROTATE_270",
    }  # fmt: skip
    stored = PIL.Image.fromarray(upright)
    if orientation in back:
        stored = stored.transpose(PIL.Image.Transpose[back[orientation]])
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    for name in ("p.png", "p.tif", "p.webp"):
        stored.save(name, exif=exif, lossless=True)
        assert (Photograph(name, Path()).reduced(64) == upright).all(), name
    assert not notes.lines()


def test_gray_is_rgb_and_no_side_is_enlarged() -> None:
    gray = noise(70, 90)[:, :, 0]
    save(Path("gray.png"), gray)
    photograph = Photograph("gray.png", Path())
    assert (photograph.reduced(500) == gray[:, :, None]).all()
    assert photograph.reduced(35).shape == (35, 45, 3)


def test_a_file_that_changes_is_read_again() -> None:
    photograph = Photograph("p.png", Path())
    for seed in (0, 1):
        save(Path("p.png"), noise(64, 64, seed))
        assert (photograph.reduced(64) == noise(64, 64, seed)).all()


def test_a_jpeg_is_reduced_while_it_is_decoded_and_close_to_its_mean() -> None:
    pixels = noise(640, 960)
    save(Path("p.jpg"), pixels, quality=95)
    reduced = Photograph("p.jpg", Path()).reduced(100)
    assert reduced.shape == (100, 150, 3)
    assert np.abs(reduced.astype(int) - averaged(pixels, 100, 150)).mean() < 2


def test_a_window_is_interpolated_linearly() -> None:
    """Colors that rise with the column: at u the window shows the column left + (u + 1) / 2 * side, less a half."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))
    save(Path("ramp.png"), np.ascontiguousarray(ramp))
    rng = Rng(3)
    side = rng.uniform(0.5, 1) * 100
    left = rng.uniform(0, 200 - side)
    u = np.linspace(-0.9, 0.9, 7)
    colors, opaque = photo(Rng(3), Photograph("ramp.png", Path()), 100)(u, np.zeros(7))
    assert colors[:, 0] * 255 == pytest.approx(left + (u + 1) / 2 * side - 0.5)
    assert opaque.all()


# ---------------------------------------------------------------------------------------------- folders


def test_the_photographs_of_a_folder_are_in_order_of_name(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "more").mkdir()
    assert [str(photograph) for photograph in photographs.in_folder(folder)] == ["a.webp", "b.bmp", "c.png"]
    (line,) = notes.lines()
    assert line.startswith("not searched for photographs: 1 file (mine/more)")


def test_each_file_that_is_no_photograph_is_named(folder: Path) -> None:
    save(folder / "small.png", noise(63, 200))
    save(folder / "deep.png", np.zeros((70, 70), np.uint16))
    (folder / "list.txt").write_text("no image")
    with pytest.raises(UsageError) as caught:
        photographs.in_folder(folder)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["mine/deep.png", "mine/list.txt", "mine/small.png"]
    assert "16 bits per channel" in lines[0]
    assert "not an image that can be read" in lines[1]
    assert "200 x 63 pixels; a photograph has at least 64 along both sides. Move it out of --images mine" in lines[2]


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "--images nowhere: no such folder of photographs."), ("empty", "--images empty: no image file in it")],
)
def test_a_folder_without_photographs(name: str, message: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UsageError, match=message):
        photographs.in_folder(Path(name))


# ---------------------------------------------------------------------------------------------- probes

PROBE = """
probe: mine
cases:
  - id: $content-$number
    draw: 2
    seed: 1
    original: {scene: patch, content: %s, side: 0.5, ground: {deal: [white, black]}}
    distorted: {rotate: {degrees: 30}}
    references: [{replace_object: {}}]
  - id: pattern
    original: {scene: pattern, family: dots}
    distorted: {invert: {}}
    references: standard
"""


def loaded(content: str, **options: Any) -> Probe:
    Path("mine.yaml").write_text(PROBE % content, encoding="utf-8")
    (probe,) = probes.load(["mine.yaml"], **options)
    return probe


def shown(case: Case) -> Any:
    return case.original.values()["original.content"]


def test_a_probe_may_name_a_file_or_a_built_in_photograph_or_leave_it_to_the_seed() -> None:
    save(Path("my dog.png"), noise(80, 80))
    single, *drawn = loaded("{cycle: [{photo: my dog.png}, chelsea.png]}").cases
    assert single.id == "pattern"
    assert [case.id for case in drawn] == ["my_dog.png-000", "chelsea.png-001"]
    assert shown(drawn[0]) == Photograph("my dog.png", Path())
    triple = drawn[0].draw()
    assert (triple.drawn["content"], triple.drawn["photo"]) == ("photo", "my dog.png")
    dealt = [shown(case).name for case in loaded("photo", cases=12).cases[1:]]
    assert sorted(dealt) == sorted([*BUILT_IN] * 2)  # each as often
    assert sorted(dealt[:6]) == sorted(BUILT_IN)


def test_a_photograph_is_replaced_by_another_one_of_its_pool_or_else_by_a_drawn_content() -> None:
    (case,) = loaded("chelsea.png", cases=1).cases[1:]
    assert case.draw().drawn["replaced_by"] in set(BUILT_IN) - {"chelsea.png"}
    save(Path("dog.png"), noise(80, 80))
    (case,) = loaded("{photo: dog.png}", cases=1).cases[1:]
    assert case.draw().drawn["replaced_by"] in ("mosaic", "bars", "rings", "face", "bird", "icons", "plaid", "terrain")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{photo: cat.png}", "cat.png: no such image file."),
        ("{photo: 3}", "photo: a path, as in {photo: dog.png}; found 3."),
        ("{photo: small.png}", "small.png: 63 x 80 pixels; a photograph has at least 64 along both sides."),
        ("chelsey.png", "content: unknown name 'chelsey.png'. Did you mean 'chelsea.png'?"),
    ],
)
def test_a_photograph_that_cannot_be_had_is_named_with_its_line(content: str, message: str) -> None:
    save(Path("small.png"), noise(80, 63))
    with pytest.raises(ProbeError) as caught:
        loaded(content)
    assert str(caught.value).startswith(f"mine.yaml:7: {message}")


def test_a_larger_size_is_drawn_from_the_file_and_not_resized() -> None:
    def original(size: int) -> Pixels:
        return loaded("chelsea.png", size=size).cases[1].draw().original.pixels

    small, large = original(96), original(192)
    assert np.abs(large.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3)) - small).mean() < 1
    assert np.ptp(large.reshape(96, 2, 96, 2, 3), axis=(1, 3)).mean() > 2  # with detail that the small one lacks


def test_images_of_ones_own_replace_the_contents_in_turn_and_what_has_none_is_left_out(folder: Path) -> None:
    mine = photographs.in_folder(folder)
    rotate, invert = (probes.BUILT_IN / f"{name}.yaml" for name in ("rotate", "invert"))
    left_out, probe = sorted(probes.load([rotate, invert], images=mine), key=lambda probe: probe.name)
    assert not left_out.cases
    scenes = [case for case in probe.cases if case.id.endswith("-90")]
    assert [shown(case).name for case in scenes] == ["a.webp", "b.bmp", "c.png"] * 2 + ["a.webp", "b.bmp"]
    assert {case.id.split("-")[0] for case in probe.cases} == {"a.webp", "b.bmp", "c.png"}
    assert notes.lines() == ["left out, invert: no content that a photograph can replace."]
    with pytest.raises(UsageError, match=r"^invert: no content that a photograph can replace\.$"):
        configure(Options(metric=["pixel"], select_probe=["invert"], images=str(folder), report_dir="r"))


def test_a_probe_of_drawn_contents_alone_is_asked_of_images_too(folder: Path) -> None:
    probe = loaded("{cycle: [face, bird]}", images=photographs.in_folder(folder))
    assert [case.id for case in probe.cases] == ["a.webp-000", "b.bmp-001"]
    assert probe.cases[0].draw().drawn["replaced_by"] in ("b.bmp", "c.png")


def draw(scene: str, references: str) -> None:
    case = f"{{id: c, original: {{scene: {scene}}}, distorted: {{flip: {{}}}}, references: {references}}}"
    Path("p.yaml").write_text(f"probe: p\ncases:\n  - {case}\n", encoding="utf-8")
    (probe,) = probes.load(["p.yaml"])
    probe.cases[0].draw()


@pytest.mark.parametrize(
    ("scene", "why"),
    [
        ("patch, content: {photo: white.png}, side: 0.5", "white.png that stands out from its ground"),
        ("view, content: {photo: white.png}", "white.png with more than one color"),
    ],
)
def test_a_photograph_in_which_a_person_sees_nothing_fails_by_name(scene: str, why: str) -> None:
    save(Path("white.png"), np.full((80, 80, 3), 255, np.uint8))
    with pytest.raises(DrawError, match=rf"p.yaml:3: case 'c': no acceptable drawing in 200 tries: {why}"):
        draw(scene, "standard")


def test_what_looks_the_same_in_any_order_is_not_shuffled() -> None:
    """Stars: the average colors of their patches are nearly equal."""
    with pytest.raises(DrawError, match="and that looks different"):
        draw("view, content: hubble_deep_field.jpg", "[{shuffle: {patch: 32}}]")


# ------------------------------------------------------------------------------------------------- runs


def test_a_run_on_images_names_them_and_is_compared_with_no_built_in_baseline(suite: Suite, folder: Path) -> None:
    mine, recorded = folder.absolute(), folder.absolute().with_name("recorded.json")
    options = ["--metric", "pixel", "--select-probe", "translate", "--cases", "4", "--images", str(mine)]
    run = suite(*options, "--update-baseline", str(recorded))
    assert {row["case"] for row in run.rows} == {"a.webp-000", "b.bmp-001", "c.png-002", "a.webp-003"}
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(mine.iterdir()))).hexdigest()
    assert run.results["run"]["photographs"] == {"source": str(mine), "count": 3, "sha256": digest}
    assert f"3 photographs, {mine}, SHA-256" in " ".join(run.text.split())
    margins = configure(Options(metric=["pixel"], images=str(mine), cases=2, report_dir="r")).baseline.margins
    assert not any(case.startswith("translate/") for case, _ in margins)
    assert suite(*options, "--baseline", str(recorded)).code == 0
    damaged = save(mine / "d.png", noise(100, 100, 4)).read_bytes()
    (mine / "d.png").write_bytes(damaged[: len(damaged) // 2])
    run = suite(*options, "--baseline", str(recorded))
    assert run.code == 1
    assert "case 'd.png-003': " in run.text
    assert "the image cannot be decoded" in run.text


def test_the_photographs_of_a_run_are_those_that_its_cases_show() -> None:
    """One of a file, one that is built in, and another built-in one in its place."""
    save(Path("dog.png"), noise(80, 80))
    probe = loaded("{cycle: [{photo: dog.png}, chelsea.png]}")
    run: Any = SimpleNamespace(probes=[probe])
    drawn = {"mine/dog.png-000": {"replaced_by": "bird"}, "mine/chelsea.png-001": {"replaced_by": "coffee.png"}}
    used = [Photograph(name) for name in ("chelsea.png", "coffee.png")] + [Photograph("dog.png", Path())]
    assert results.photographs_used(run, drawn) == {
        "source": "., built-in",
        "count": 3,
        "sha256": digest_of_files(photograph.path() for photograph in used),
    }


def case_rows(passed: int, cases: int, name: str) -> list[Row]:
    return [made_up_rows.row(0.5 if i < passed else -0.5, case=f"{name}-{i}") for i in range(cases)]


@pytest.mark.parametrize(("photographed", "columns"), [(3, ("rotate/drawn", "rotate/photographs")), (4, ("rotate",))])
def test_strata_stand_apart_where_they_differ_by_more_than_chance(photographed: int, columns: tuple[str, ...]) -> None:
    """9 of 10 against 3 of 10: Fisher's p is 0.020; against 4 of 10: 0.057."""
    rows = [*case_rows(9, 10, "drawn"), *case_rows(photographed, 10, "photo")]
    drawn = {f"rotate/{row['case']}": {"photo": "p.png"} if "photo" in row["case"] else {} for row in rows}
    counts = strata.split_by_source({"run": {}, "cases": rows, "drawn": drawn}, pass_fractions.count(rows))
    assert counts.probes == columns
    (variant,) = counts.variants
    if len(columns) == 2:
        assert [counts.get(variant, column) for column in columns] == [Count(9, 10), Count(3, 10)]
        assert pass_fractions.as_sentences(counts) == ["sort (none) fails rotate/photographs on alexnet."]


# -------------------------------------------------------------------------------------- the built-in ones

CONTENT = {name: name.encode() for name in BUILT_IN}


def wheel() -> bytes:
    """A wheel that carries files under the names of the photographs."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in CONTENT.items():
            archive.writestr(f"skimage/data/{name}", content)
        about = "scikit_image-0.26.0.dist-info"
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: scikit-image\nVersion: 0.26.0\n")
        tag = "cp312-cp312-manylinux_2_28_x86_64"
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    return data.getvalue()


WHEEL = wheel()
FILE = "scikit_image-0.26.0-cp312-cp312-manylinux_2_28_x86_64.whl"


class Index(http.server.BaseHTTPRequestHandler):
    """A package index with that wheel."""

    def do_GET(self) -> None:
        is_wheel = self.path.endswith(".whl")
        body = WHEEL if is_wheel else f'<a href="/{FILE}">{FILE}</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream" if is_wheel else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """pip's only index is on this machine, and no photograph has been fetched."""
    for name in ("PIP_CONFIG_FILE", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT"):
        monkeypatch.setenv(name, "/dev/null" if name == "PIP_CONFIG_FILE" else "")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(photographs, "folders", lambda: [tmp_path / "a file" / "in it", tmp_path / "data"])
    (tmp_path / "a file").touch()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as serving:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{serving.server_port}/simple")
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield
        serving.shutdown()
        thread.join()
    gc.collect()


@pytest.mark.usefixtures("index")
def test_photographs_come_out_of_a_wheel_that_has_the_right_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, platform = photographs.WHEEL
    monkeypatch.setattr(photographs, "BUILT_IN", {n: hashlib.sha256(c).hexdigest() for n, c in CONTENT.items()})
    with pytest.raises(WeightsError, match=r"photograph chelsea.png is missing: .* Get .* with: dps weights install"):
        Photograph("chelsea.png").path()
    with pytest.raises(WeightsError, match=r"pip could not download scikit-image==0.26.0 \(exit code 1\)"):
        photographs.install()  # the wheel of this index has not the digest of the real one
    assert not (tmp_path / "data").exists()
    requirement = f"scikit-image==0.26.0 --hash=sha256:{hashlib.sha256(WHEEL).hexdigest()}"
    monkeypatch.setattr(photographs, "WHEEL", (requirement, platform))
    photographs.install()
    place = tmp_path / "data"  # the first folder cannot be written
    assert {path.name: path.read_bytes() for path in place.iterdir()} == CONTENT
    (place / "chelsea.png").write_bytes(b"altered")
    with pytest.raises(WeightsError, match=r"photograph chelsea.png is missing: .*chelsea.png is altered"):
        Photograph("chelsea.png").path()
    photographs.install()
    assert Photograph("chelsea.png").path().read_bytes() == CONTENT["chelsea.png"]
    monkeypatch.setattr(weights, "pip", pytest.fail)
    photographs.install()  # nothing is missing now


def test_a_run_without_the_photographs_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(photographs, "folders", lambda: [tmp_path])
    with pytest.raises(DpsError) as caught:
        configure(Options(metric=["pixel"], probes=[str(probes.BUILT_IN / "flip.yaml")], report_dir="r"))
    assert "\n" not in str(caught.value)
    assert "is not installed. Get the photographs with: dps weights install" in str(caught.value)

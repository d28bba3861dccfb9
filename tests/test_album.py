"""The images of a run's cases: each once, on the disk, and without them where it is full."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from dps.images import Image, Triple, make_image
from dps.report import album
from dps.report.album import Album


def triple(seed: int, side: int = 8) -> Triple:
    """Noise, and black as its only reference."""
    noise = np.random.default_rng(seed).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    black = make_image(np.zeros((side, side, 3), dtype=np.uint8))
    return Triple(original=make_image(noise[0]), distorted=make_image(noise[1]), references={"black": black})


def shown(kept: Album, of: Image) -> Any:
    with PIL.Image.open(io.BytesIO(kept.png(of.digest))) as image:
        return np.asarray(image)


def test_images_come_back_as_they_were() -> None:
    kept, triples = Album(), [triple(0), triple(1)]
    for number, each in enumerate(triples):
        kept.add(f"probe/{number}", each)
        assert np.array_equal(shown(kept, triples[0].original), triples[0].original.pixels)  # read between two writes
    for each in triples:
        for one in (each.original, *each.compared):
            assert np.array_equal(shown(kept, one), one.pixels)
    assert kept.cases["probe/1"] == {
        "original": triples[1].original.digest,
        "distorted": triples[1].distorted.digest,
        "references": {"black": triples[1].references["black"].digest},
    }
    assert kept.fault == ""


def test_what_is_known_is_not_told_again() -> None:
    first = album.entry("probe/0", triple(0), set())
    assert len(first["images"]) == 3
    other = replace(triple(1), distorted=triple(0).distorted)
    second = album.entry("probe/1", other, first["images"].keys())
    assert second["images"].keys() == {other.original.digest}


def test_a_large_image_is_shown_smaller() -> None:
    kept, large = Album(), triple(0, side=300)
    kept.add("probe/0", large)
    assert shown(kept, large.original).shape == (256, 256, 3)


class FullAfter(io.FileIO):
    """A file on a disk with room for so many more bytes, which takes what fits before it fails."""

    room = 0

    def write(self, data: Any, /) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        written = super().write(bytes(data[: self.room]))
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 150, 300])
def test_a_full_disk_costs_images_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    disk = FullAfter(tmp_path / "disk", "w+")
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_options: disk)
    disk.room = 10_000
    kept = Album()
    kept.add("probe/0", triple(0))
    disk.room = room
    kept.add("probe/1", triple(1))
    disk.room = 10_000
    kept.add("probe/2", triple(2))  # nothing more is tried
    assert kept.fault == "images of cases cannot be kept on the disk (No space left on device)"
    assert np.array_equal(shown(kept, triple(0).original), triple(0).original.pixels)
    assert kept.cases.keys() == {"probe/0"}


def test_no_place_for_temporary_files_costs_images_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_options: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.TemporaryFile", none)
    kept = Album()
    kept.add("probe/0", triple(0))
    assert kept.fault.endswith("(No usable temporary directory found in ['/tmp'])")
    assert not kept.cases


def test_two_workers_that_tell_the_same_image_cost_one() -> None:
    kept = Album()
    kept.update(album.entry("probe/0", triple(0), set()))
    size = kept._end
    kept.update(album.entry("probe/1", triple(0), set()))
    assert kept._end == size
    assert kept.cases.keys() == {"probe/0", "probe/1"}

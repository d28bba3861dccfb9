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


def pixels(images: Album, image: Image) -> Any:
    with PIL.Image.open(io.BytesIO(images.png(image.digest))) as file:
        return np.asarray(file)


def test_images_come_back_as_they_were() -> None:
    images, triples = Album(), [triple(0), triple(1)]
    for number, added in enumerate(triples):
        images.add(f"probe/{number}", added)
        assert np.array_equal(pixels(images, triples[0].original), triples[0].original.pixels)  # between two writes
    for image in (image for added in triples for image in (added.original, *added.compared)):
        assert np.array_equal(pixels(images, image), image.pixels)
    assert images.cases["probe/1"] == {
        "original": triples[1].original.digest,
        "distorted": triples[1].distorted.digest,
        "references": {"black": triples[1].references["black"].digest},
    }
    assert images.fault == ""


def test_each_image_is_encoded_sent_and_kept_once() -> None:
    first = album.entry("probe/0", triple(0), set())
    assert len(first["images"]) == 3
    other = replace(triple(1), distorted=triple(0).distorted)
    assert album.entry("probe/1", other, first["images"].keys())["images"].keys() == {other.original.digest}
    images = Album()
    images.update(first)
    size = images._end
    images.update(album.entry("probe/1", triple(0), set()))  # of another process
    assert images._end == size
    assert images.cases.keys() == {"probe/0", "probe/1"}


def test_a_large_image_is_shown_smaller() -> None:
    images, large = Album(), triple(0, side=300)
    images.add("probe/0", large)
    assert pixels(images, large.original).shape == (256, 256, 3)


class FullAfter(io.FileIO):
    """A file on a disk with room for some more bytes, which takes what fits before it fails."""

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
    images = Album()
    for number, disk.room in enumerate((10_000, room, 10_000)):  # after a fault, nothing more is tried
        images.add(f"probe/{number}", triple(number))
    assert images.fault == "images of cases cannot be kept on the disk (No space left on device)"
    assert np.array_equal(pixels(images, triple(0).original), triple(0).original.pixels)
    assert images.cases.keys() == {"probe/0"}

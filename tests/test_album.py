"""The images of a run's cases: each once."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image

from dps.images import Image, Triple, make_image
from dps.report import album
from dps.report.album import Album


def triple(seed: int, side: int = 8) -> Triple:
    """Noise, and black as its only reference."""
    noise = np.random.default_rng(seed).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    black = make_image(np.zeros((side, side, 3), dtype=np.uint8))
    return Triple(original=make_image(noise[0]), distorted=make_image(noise[1]), references={"black": black})


def pixels(images: Album, image: Image) -> Any:
    with PIL.Image.open(io.BytesIO(images.pngs[image.digest])) as file:
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


def test_each_image_is_encoded_sent_and_kept_once() -> None:
    first = album.entry("probe/0", triple(0), set())
    assert len(first["images"]) == 3
    other = replace(triple(1), distorted=triple(0).distorted)
    assert album.entry("probe/1", other, first["images"].keys())["images"].keys() == {other.original.digest}
    images = Album()
    images.update(first)
    before = dict(images.pngs)
    images.update(album.entry("probe/1", triple(0), set()))  # of another process
    assert images.pngs == before
    assert images.cases.keys() == {"probe/0", "probe/1"}


def test_a_large_image_is_shown_smaller() -> None:
    images, large = Album(), triple(0, side=300)
    images.add("probe/0", large)
    assert pixels(images, large.original).shape == (256, 256, 3)

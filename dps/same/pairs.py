"""Pairs of images on which two metrics are compared: from near-identical to unrelated, and edge cases."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dps.distortions import PIXEL_DISTORTIONS
from dps.errors import WeightsError
from dps.image_pairs import ImagePair, flat, image_pair, noise
from dps.images import Pixels, as_batch
from dps.photographs import built_in
from dps.scenes.composition import view
from dps.scenes.contents import FULL
from dps.scenes.plane import render
from dps.scenes.rng import Rng

SIZE, TINY, LARGE = 64, 32, 256
"""Heights and widths in pixels of most pairs, of tiny and of large ones."""

CHANGES: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("near-identical", "noise", {"deviation": 0.004}),
    ("near-identical", "lighting", {"gain": 1.02}),
    ("distorted", "blur", {"sigma": 1.5}),
    ("distorted", "jpeg", {"quality": 20}),
    ("distorted", "contrast", {"factor": 0.6}),
    ("distorted", "noise", {"deviation": 0.1}),
    ("distorted", "recolor", {"degrees": 60}),
    ("distorted", "invert", {}),
)
"""Kinds of pairs, and the distortion of the original, with its parameters."""


class Batch(NamedTuple):
    """Pairs of one size, as tensors in [0, 1], ``(pair, 3, height, width)``, and their indices among all pairs."""

    places: tuple[int, ...]
    originals: Tensor
    others: Tensor


def draw(smallest: int) -> list[tuple[str, ImagePair]]:
    """Draw all pairs, each with its kind.

    Args:
        smallest: height and width in pixels that both metrics accept; no pair is smaller.
    """
    size, tiny = max(SIZE, smallest), max(TINY, smallest)
    pairs: list[tuple[str, ImagePair]] = []
    for name, other in itertools.pairwise([*FULL, next(iter(FULL))]):
        pairs += _of_contents(name, other, size, size)
    windows = dict(_windows(size))
    for (name, original), other in zip(windows.items(), [*list(windows)[1:], *windows], strict=False):
        pairs += [("photograph", pair) for _, pair in _compared(name, original, other, windows[other], 2)]
    for height, width in ((size + 8, size + 32), (size + 33, size + 1)):
        pairs += [("non-square", pair) for _, pair in _of_contents("bird", "plaid", height, width, 3)]
    black, white, red, gray = flat((0, 0, 0)), flat((255, 255, 255)), flat((200, 30, 40)), flat((128, 128, 128))
    flat_pairs = [(black, white), (gray, red), (red, gray), (white, noise((0, 0, 0), 1))]
    pairs += [("flat", image_pair(size, size, *sketches)) for sketches in flat_pairs]
    pairs += [("identical", image_pair(size, size, sketch, 0)) for sketch in (gray, black, noise((0, 0, 0), 2))]
    pairs += [("unrelated", image_pair(size, size, noise((0, 0, 0), 3), noise((0, 0, 0), 4)))]
    pairs += [("tiny", pair) for _, pair in _of_contents("face", "terrain", tiny, tiny, 2)]
    return pairs + [("large", pair) for _, pair in _of_contents("terrain", "face", LARGE, LARGE, 4)]


def batches(pairs: Sequence[ImagePair]) -> list[Batch]:
    """Return a batch for each pair alone, then one for all pairs of each size."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for place, pair in enumerate(pairs):
        by_size.setdefault(pair.original.shape, []).append(place)
    together = [places for places in by_size.values() if len(places) > 1]
    return [
        Batch(tuple(p), as_batch(pairs[i].original for i in p), as_batch(pairs[i].other for i in p))
        for p in [*([place] for place in range(len(pairs))), *together]
    ]


def _of_contents(name: str, other: str, height: int, width: int, step: int = 1) -> Iterator[tuple[str, ImagePair]]:
    """Yield a content with every `step`-th of its changes, and with another content."""
    return _compared(name, _content(name, height, width), other, _content(other, height, width), step)


def _compared(
    name: str, original: Pixels, other: str, other_image: Pixels, step: int
) -> Iterator[tuple[str, ImagePair]]:
    height, width, _ = original.shape
    start = f"{width} x {height} pixels, {name} against"
    for kind, change, values in CHANGES[::step]:
        changed = np.ascontiguousarray(PIXEL_DISTORTIONS[change](original, Rng(0, "same", change), **values))
        parameters = ", ".join(f"{key} {value:g}" for key, value in values.items())
        text = f"itself with {change} ({parameters})" if parameters else "itself, inverted"
        yield kind, ImagePair(original, changed, f"{start} {text}")
    yield "unrelated", ImagePair(original, other_image, f"{start} {other}")


def _windows(size: int) -> Iterator[tuple[str, Pixels]]:
    """Yield the name and a square window of each built-in photograph that is installed and losslessly stored."""
    for photograph in built_in():
        if photograph.name.endswith(".png"):
            with contextlib.suppress(WeightsError):
                reduced = photograph.reduced(size)[:size, :size]
                if reduced.shape == (size, size, 3):
                    yield photograph.name, np.ascontiguousarray(reduced)


def _content(name: str, height: int, width: int) -> Pixels:
    side = max(height, width)
    return render(view(Rng(0, "same", name), side, content=name), side)[:height, :width]

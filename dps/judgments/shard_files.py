"""The files of a shard: their digest, images and judgments."""

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dps import images
from dps.errors import ImageError, JudgmentsError, one_line
from dps.images import Pixels
from dps.judgments.dataset import Content, Judged, Labels, add_part, new_digest

ROLES: Mapping[str, Mapping[str, str]] = {
    "2afc": {"ref": ".png", "p0": ".png", "p1": ".png", "judge": ".npy"},
    "jnd": {"p0": ".png", "p1": ".png", "same": ".npy"},
}
"""BAPPS's folders of each kind of task, with the ending of files: original, compared images, judgments."""


def preprocessing(size: int | None) -> str:
    """Return what `read` does to each image file, so that distances depend on it."""
    return f"RGB, Pillow {PIL.__version__}" + (f" bilinear to {size} x {size}" if size else "")


def resized_shape(height: int, width: int, size: int | None) -> tuple[int, int]:
    """Return the height and width of an image whose shorter side becomes `size` pixels; None leaves it as it is."""
    scale = size / min(height, width) if size else 1
    return round(height * scale), round(width * scale)


def load(rows: Sequence[Judged], kind: str, size: int | None, decode: bool) -> Content:
    """Return judgments and digest of some rows and their images, if these are decoded; each once for each original.

    Args:
        rows: those of one original follow each other.
        kind: one of `dataset.KINDS`.
        size: the shorter side's length in pixels after resizing; None not to resize.

    Raises:
        JudgmentsError: a file cannot be read, a judgment file is not one number in [0, 1], or an image cannot be
            decoded or has another size than its original.
    """
    digest, judgments, places = new_digest(kind), [], []
    stacks: list[list[Pixels]] = []
    compared_before = 0

    def add(path: str, stack: list[Pixels]) -> None:
        data = _bytes_of(Path(path))
        add_part(digest, data)
        if decode:
            pixels = _image(data, Path(path), size)
            if stack and pixels.shape != stack[0].shape:
                sizes = (f"{width} x {height}" for height, width, _ in (pixels.shape, stack[0].shape))
                raise JudgmentsError(f"{path}: measures {' pixels, but its original '.join(sizes)} pixels.")
            stack.append(pixels)

    for original, same in itertools.groupby(rows, key=lambda row: row.original):
        stack: list[Pixels] = []
        place_of: dict[str, int] = {}
        add(original, stack)
        for row in same:
            if known := [str(place_of[path]) for path in row.compared if path in place_of]:
                add_part(digest, " ".join(known).encode())
            for path in row.compared:
                if path not in place_of:
                    place_of[path] = len(place_of)
                    add(path, stack)
            places.append([compared_before + place_of[path] for path in row.compared])
            if isinstance(row.judgment, str):
                data = _bytes_of(Path(row.judgment))
                add_part(digest, data)
                judgments.append(_judgment(data, row.judgment))
            else:
                judgments.append(row.judgment)
        compared_before += len(place_of)
        stacks.append(stack)
    layouts = itertools.groupby(stacks if decode else (), key=lambda stack: (len(stack), stack[0].shape))
    return Content(
        stacks=tuple(np.stack([np.stack(stack) for stack in of_layout]) for _, of_layout in layouts),
        labels=Labels(judgments=np.array(judgments), digest=digest.hexdigest()),
        places=np.array(places),
    )


def check(path: Path) -> None:
    """Read one file, image or judgment; a JudgmentsError as for `load`."""
    data = _bytes_of(path)
    if path.suffix == ".npy":
        _judgment(data, str(path))
    else:
        _image(data, path, None)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise JudgmentsError(f"{path}: cannot be read ({error.strerror}).") from None


def _image(data: bytes, path: Path, size: int | None) -> NDArray[np.uint8]:
    """Decode an image and resize it."""
    try:
        pixels = images.read(path, data)
    except ImageError as error:
        raise JudgmentsError(str(error)) from None
    height, width = resized_shape(pixels.shape[0], pixels.shape[1], size)
    if size is None:
        return pixels
    return np.asarray(PIL.Image.fromarray(pixels).resize((width, height), PIL.Image.Resampling.BILINEAR))


def _judgment(data: bytes, path: str) -> float:
    data = re.sub(rb"(?<=\(\d)L(?=,\))", b" ", data, count=1)  # (1L,) in headers that Python 2 wrote
    try:
        share = float(np.load(io.BytesIO(data), allow_pickle=False).item())
    except Exception as error:  # noqa: BLE001 - NumPy and zipfile raise almost anything on a damaged file
        raise JudgmentsError(f"{path}: not an .npy file of one number ({one_line(error)}).") from None
    if not 0 <= share <= 1:
        raise JudgmentsError(f"{path}: a judgment is within [0, 1], found {share:g}.")
    return share

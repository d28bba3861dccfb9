"""The files of a shard: their digest, images and judgments."""

import functools
import io
import itertools
import warnings
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


def look(rows: Sequence[Judged], kind: str, size: int | None) -> Labels:
    """Return judgments and digest of some rows; no image is decoded.

    Raises:
        JudgmentsError: a file cannot be read, or a judgment file is not one number in [0, 1].
    """
    return _read(rows, kind, size, decode=False).labels


def read(rows: Sequence[Judged], kind: str, size: int | None) -> Content:
    """Return images, judgments and digest of some rows, from the same bytes; each image once for each original.

    Args:
        rows: those of one original follow each other.
        kind: one of `dataset.KINDS`.
        size: the shorter side's length in pixels after resizing; None not to resize.

    Raises:
        JudgmentsError: as for `look`; or an image cannot be decoded, or has another size than its original.
    """
    return _read(rows, kind, size, decode=True)


def _read(rows: Sequence[Judged], kind: str, size: int | None, *, decode: bool) -> Content:
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
    """Read one file, image or judgment; a JudgmentsError as for `read`."""
    data = _bytes_of(path)
    if path.suffix == ".npy":
        _judgment(data, str(path))
        return
    height, width, _ = _image(data, path, None).shape
    if height != width:
        raise JudgmentsError(f"{path}: measures {width} x {height} pixels; images here are square.")


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
    try:
        return _share(data)
    except ValueError as error:
        raise JudgmentsError(f"{path}: {error}.") from None


@functools.lru_cache(maxsize=256)  # few people judge, so few different files are there
def _share(data: bytes) -> float:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)  # of headers that Python 2 wrote
            value = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - NumPy and zipfile raise almost anything on a damaged file
        raise ValueError(f"not a readable .npy file of numbers ({one_line(error)})") from None
    if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in "fiub":
        what = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"a judgment is one number, found {what}")
    share = float(value.item())
    if not 0 <= share <= 1:
        raise ValueError(f"a judgment is within [0, 1], found {share:g}")
    return share

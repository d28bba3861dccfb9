"""Image and judgment files of a shard."""

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
from dps.judgments.dataset import Content, JudgedFiles, add_part, new_digest

ROLES: Mapping[str, Mapping[str, str]] = {
    "2afc": {"ref": ".png", "p0": ".png", "p1": ".png", "judge": ".npy"},
    "jnd": {"p0": ".png", "p1": ".png", "same": ".npy"},
}
"""Folders of BAPPS with the suffix of their files, by kind of task: original, compared images, judgments."""


def preprocessing(size: int | None) -> str:
    """Describe the preprocessing of each image file by `load`."""
    return f"RGB, Pillow {PIL.__version__}" + (f" bilinear to {size} x {size}" if size else "")


def resized_shape(height: int, width: int, size: int | None) -> tuple[int, int]:
    """Return the height and width after resizing the shorter side to `size` pixels; unchanged for None."""
    scale = size / min(height, width) if size else 1
    return round(height * scale), round(width * scale)


def load(rows: Sequence[JudgedFiles], kind: str, size: int | None, decode: bool) -> Content:
    """Read judgments and digest of rows and, with `decode`, their images, each once per original.

    Args:
        rows: those of one original are consecutive.
        kind: one of `dataset.KINDS`.
        size: length of the shorter side after resizing, in pixels; None for no resizing.

    Raises:
        JudgmentsError: a file cannot be read, a judgment file is not one number in [0, 1], or an image cannot be
            decoded or differs in size from its original.
    """
    digest, judgments, indices = new_digest(kind), [], []
    stacks: list[list[Pixels]] = []
    compared_before = 0

    def add(path: str, stack: list[Pixels]) -> None:
        data = read_bytes(Path(path))
        add_part(digest, data)
        if decode:
            pixels = _image(data, Path(path), size)
            if stack and pixels.shape != stack[0].shape:
                (height, width, _), (original_height, original_width, _) = pixels.shape, stack[0].shape
                raise JudgmentsError(
                    f"{path}: {width} x {height} pixels, but its original has {original_width} x {original_height}."
                )
            stack.append(pixels)

    for original, rows_of_original in itertools.groupby(rows, key=lambda row: row.original):
        stack: list[Pixels] = []
        index_of: dict[str, int] = {}
        add(original, stack)
        for row in rows_of_original:
            if repeated := [str(index_of[path]) for path in row.compared if path in index_of]:
                add_part(digest, " ".join(repeated).encode())
            for path in row.compared:
                if path not in index_of:
                    index_of[path] = len(index_of)
                    add(path, stack)
            indices.append([compared_before + index_of[path] for path in row.compared])
            if isinstance(row.judgment, str):
                data = read_bytes(Path(row.judgment))
                add_part(digest, data)
                judgments.append(_judgment(data, row.judgment))
            else:
                judgments.append(row.judgment)
        compared_before += len(index_of)
        stacks.append(stack)
    by_layout = itertools.groupby(stacks if decode else (), key=lambda stack: (len(stack), stack[0].shape))
    return Content(
        judgments=np.array(judgments),
        digest=digest.hexdigest(),
        stacks=tuple(np.stack([np.stack(stack) for stack in layout]) for _, layout in by_layout),
        indices=np.array(indices),
    )


def check(path: Path) -> None:
    """Read one image or judgment file; a JudgmentsError as for `load`."""
    data = read_bytes(path)
    if path.suffix == ".npy":
        _judgment(data, str(path))
    else:
        _image(data, path, None)


def read_bytes(path: Path) -> bytes:
    """Read a file; a JudgmentsError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise JudgmentsError(f"{path}: cannot be read ({error.strerror}).") from None


def _image(data: bytes, path: Path, size: int | None) -> NDArray[np.uint8]:
    try:
        pixels = images.read(path, data)
    except ImageError as error:
        raise JudgmentsError(str(error)) from None
    if size is None:
        return pixels
    height, width = resized_shape(pixels.shape[0], pixels.shape[1], size)
    return np.asarray(PIL.Image.fromarray(pixels).resize((width, height), PIL.Image.Resampling.BILINEAR))


def _judgment(data: bytes, path: str) -> float:
    data = re.sub(rb"(?<=\(\d)L(?=,\))", b" ", data, count=1)  # (1L,) in headers written by Python 2
    try:
        fraction = float(np.load(io.BytesIO(data), allow_pickle=False).item())
    except Exception as error:  # noqa: BLE001 - NumPy and zipfile raise almost anything on a damaged file
        raise JudgmentsError(f"{path}: not an .npy file of one number ({one_line(error)}).") from None
    if not 0 <= fraction <= 1:
        raise JudgmentsError(f"{path}: the judgment must be in [0, 1], found {fraction:g}.")
    return fraction

"""The files of a shard: their digest, images and judgments."""

import functools
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dps.bapps.dataset import KINDS, SIZE, Content, Labels, add_part, new_digest
from dps.errors import BappsError, one_line

ROLES: Mapping[str, Mapping[str, str]] = {
    "2afc": {"ref": ".png", "p0": ".png", "p1": ".png", "judge": ".npy"},
    "jnd": {"p0": ".png", "p1": ".png", "same": ".npy"},
}
"""The folders of each kind of task, with the ending of their files' names: original, compared images, judgments."""

PREPROCESSING = f"RGB, Pillow {PIL.__version__} bilinear to {SIZE} x {SIZE}"
"""What is done to each image file, so that distances depend on it."""


def look(root: Path, kind: str, names: Sequence[str], span: range) -> Labels:
    """Return judgments and digest of a span of a subset's files, named without suffix; no image is decoded.

    Raises:
        BappsError: a file cannot be read, or a judgment is not one number in [0, 1].
    """
    return _read(root, kind, names, span, None)


def read(root: Path, kind: str, names: Sequence[str], span: range) -> Content:
    """Return images, judgments and digest of a span of a subset's files, from the same bytes.

    Raises:
        BappsError: as for `look`; or an image cannot be decoded, or is not square.
    """
    images = np.empty((len(span), 1 + KINDS[kind], SIZE, SIZE, 3), dtype=np.uint8)
    return Content(images=images, labels=_read(root, kind, names, span, images))


def _read(root: Path, kind: str, names: Sequence[str], span: range, images: NDArray[np.uint8] | None) -> Labels:
    """Read files, and decode images into an array if there is one."""
    digest, judgments = new_digest(kind), []
    with _strict_decoders():
        for row, name in enumerate(names[span.start : span.stop]):
            for place, (role, suffix) in enumerate(ROLES[kind].items()):
                path = root / role / (name + suffix)
                data = _bytes_of(path)
                add_part(digest, data)
                if suffix == ".npy":
                    judgments.append(_judgment(data, path))
                elif images is not None:
                    images[row, place] = _image(data, path)
    return Labels(judgments=np.array(judgments), digest=digest.hexdigest())


def check(path: Path) -> None:
    """Read one file, image or judgment; a BappsError as for `read`."""
    with _strict_decoders():
        (_image if path.suffix == ".png" else _judgment)(_bytes_of(path), path)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BappsError(f"{path}: cannot be read ({error.strerror}).") from None


@contextmanager
def _strict_decoders() -> Iterator[None]:
    """Ignore warnings of odd metadata and of headers that Python 2 wrote; too many pixels are an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning)
        yield


def _image(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode a PNG and resize it, ``(SIZE, SIZE, 3)``."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("PNG",)) as file:
            image = file.convert("RGB")
    except PIL.UnidentifiedImageError:
        raise BappsError(f"{path}: not a PNG image.") from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost anything on a damaged file
        raise BappsError(f"{path}: the image cannot be decoded ({one_line(error)}); is it cut short?") from None
    if image.width != image.height:
        raise BappsError(f"{path}: measures {image.width} x {image.height} pixels; images here are square.")
    return np.asarray(image.resize((SIZE, SIZE), PIL.Image.Resampling.BILINEAR))


def _judgment(data: bytes, path: Path) -> float:
    try:
        return _share(data)
    except ValueError as error:
        raise BappsError(f"{path}: {error}.") from None


@functools.lru_cache(maxsize=256)  # few people judge, so few different files are there
def _share(data: bytes) -> float:
    try:
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

"""Images: from files, as tensors, and told apart by digest."""

import functools
import hashlib
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.errors import ImageError, one_line

Pixels: TypeAlias = NDArray[np.uint8]
"""8-bit RGB, ``(height, width, 3)``."""

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image.

    Attributes:
        pixels: 8-bit RGB, ``(height, width, 3)``.
        digest: SHA-256 over its shape and bytes; two pictures with the same digest are the same.
        common: one of the few that cases of every probe use, so that what is computed from it is kept.
    """

    pixels: Pixels = field(repr=False, compare=False)
    digest: str
    common: bool = False


def make_image(pixels: Pixels, *, common: bool = False) -> Image:
    """Make a picture of pixels."""
    return Image(pixels=pixels, digest=digest([pixels]), common=common)


def digest(images: Iterable[Pixels]) -> str:
    """SHA-256, hexadecimal, over the shape and the 8-bit RGB bytes of images, in order."""
    total = hashlib.sha256()
    for pixels in images:
        total.update(str(pixels.shape).encode())
        total.update(np.ascontiguousarray(pixels).tobytes())
    return total.hexdigest()


@functools.cache
def read(path: Path) -> Pixels:
    """Read an image file, once.

    Pillow's ``convert("RGB")`` and nothing else: alpha is dropped, not composited; no rotation by EXIF, no
    resizing. The format is told by the file's content, not by its name.

    Raises:
        ImageError: no such file, not one of `FORMATS`, cut short, or unreasonably large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)  # odd metadata; the pixels are what counts
            with PIL.Image.open(path, formats=FORMATS) as image:
                pixels = np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file.") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: a folder, not an image file.") from None
    except PIL.UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that can be read; {', '.join(FORMATS)} can.") from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        most = PIL.Image.MAX_IMAGE_PIXELS
        raise ImageError(f"{path}: more than {most:,} pixels, which looks like a decompression bomb.") from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost anything on a damaged file
        raise ImageError(f"{path}: the image cannot be decoded ({one_line(error)}); is it cut short?") from None
    pixels.setflags(write=False)
    return pixels


def write(path: Path, pixels: Pixels) -> None:
    """Write an image as PNG.

    Raises:
        OSError: it cannot be written.
    """
    PIL.Image.fromarray(pixels).save(path, format="PNG")


def as_png(pixels: Pixels, most: int) -> bytes:
    """An image as a PNG file, made smaller where a side is longer than ``most`` pixels."""
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((most, most))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # a twentieth larger than the default, in half the time
    return file.getvalue()


def as_webp(png: bytes) -> bytes:
    """A PNG file as a WebP file of about a quarter of its size: looks alike, but not pixel by pixel."""
    file = io.BytesIO()
    with PIL.Image.open(io.BytesIO(png)) as image:
        image.save(file, "WEBP", quality=80, method=2)
    return file.getvalue()


def as_batch(images: Iterable[Pixels]) -> Tensor:
    """Images of one size as RGB in [0, 1], float32, ``(batch, 3, height, width)``, channels last in memory."""
    stacked = torch.from_numpy(np.stack(list(images)))
    return stacked.permute(0, 3, 1, 2).float().div_(255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triple:
    """One question, drawn: the distorted image should be closer to the original than every reference.

    Attributes:
        original, distorted: two different pictures of one size.
        references: pictures of that size, none equal to the original, by name.
        drawn: what it was drawn with, for the report.
    """

    original: Image
    distorted: Image
    references: dict[str, Image]
    drawn: dict[str, object] = field(default_factory=dict)

    @property
    def compared(self) -> list[Image]:
        """All that the original is compared with: the distorted image, then the references."""
        return [self.distorted, *self.references.values()]

    @property
    def digest(self) -> str:
        """SHA-256 over original, distorted image and references, in order; see `digest`."""
        return digest(picture.pixels for picture in [self.original, *self.compared])


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256, hexadecimal, over the bytes of files in order of their names."""
    total = hashlib.sha256()
    for path in sorted(set(paths), key=lambda path: (path.name, path)):
        total.update(path.read_bytes())
    return total.hexdigest()

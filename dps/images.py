"""Images: from files, as tensors, and their digests."""

import contextlib
import hashlib
import io
import math
import shlex
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from numpy.typing import NDArray
from PIL import ExifTags
from torch import Tensor

from dps import files, notes
from dps.errors import ImageError, one_line

Pixels: TypeAlias = NDArray[np.uint8]
"""8-bit RGB, ``(height, width, 3)``."""

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image.

    Attributes:
        pixels: 8-bit RGB, ``(height, width, 3)``.
        digest: SHA-256 over its shape and bytes; images with the same digest are equal.
        shared: one of the few that cases of every probe use, whose representations are cached.
    """

    pixels: Pixels = field(repr=False, compare=False)
    digest: str
    shared: bool = False


def make_image(pixels: Pixels, *, shared: bool = False) -> Image:
    """Return an image of pixels."""
    return Image(pixels=pixels, digest=digest([pixels]), shared=shared)


def digest(images: Iterable[Pixels]) -> str:
    """Return the SHA-256, hexadecimal, of the shape and the 8-bit RGB bytes of images, in order."""
    total = hashlib.sha256()
    for pixels in images:
        total.update(str(pixels.shape).encode())
        total.update(np.ascontiguousarray(pixels).tobytes())
    return total.hexdigest()


def read(path: Path, data: bytes | None = None) -> Pixels:
    """Read an image file of at most 8 bits a channel, or its bytes, as Pillow's ``convert("RGB")`` does.

    The format is determined from the content. Alpha is dropped, not composited; EXIF orientation is not applied;
    further frames and color profiles are ignored. Each is noted in `dps.notes` where it makes a difference.

    Raises:
        ImageError: no such file, not one of `FORMATS`, too deep, cut short, or unreasonably large.
    """
    path = files.existing(path) if data is None else path
    with opened(path, data) as image:
        turned = image.getexif().pop(ExifTags.Base.Orientation, 1) in range(2, 9)  # or Pillow would apply that of TIFF
        rgb = _converted(path, image)
        if turned:
            notes.add(
                "EXIF orientation not applied in", path, "pixels are compared as stored, which may lie on their side."
            )
        profile = image.info.get("icc_profile") or b""
        if profile and not any("sRGB".encode(code) in profile for code in ("ascii", "utf-16-be")):
            notes.add("color profile ignored in", path, "numbers are compared as if they were sRGB.")
        pixels = np.asarray(rgb)
    pixels.setflags(write=False)
    return pixels


def read_upright(path: Path, shorter: int) -> Pixels:
    """Read an image file with its EXIF orientation applied; an ImageError as for `read`.

    A JPEG is decoded at an eighth to all of its size, with at least so many pixels along its shorter side.
    """
    with opened(path) as image:
        width, height = (math.ceil(side * shorter / min(image.size)) for side in image.size)
        image.draft("RGB", (width, height))
        return np.array(PIL.ImageOps.exif_transpose(_converted(path, image)))


@contextlib.contextmanager
def opened(path: Path, data: bytes | None = None) -> Iterator[PIL.Image.Image]:
    """Open an image file of at most 8 bits a channel; its header is read, and its pixels when they are asked for.

    Raises:
        ImageError: as for `read`, for what goes wrong inside, too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)  # odd metadata; the pixels are what counts
            with PIL.Image.open(path if data is None else io.BytesIO(data), formats=FORMATS) as image:
                if (bits := _bits(image)) > 8:
                    raise _too_deep(path, image.mode, bits)
                yield image
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file.") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: a folder, not an image file.") from None
    except PIL.UnidentifiedImageError:
        raise ImageError(
            f"{path}: not an image that can be read; {', '.join(FORMATS)} can, but for rare kinds such as 12-bit JPEG. "
            f"If it is whole, ImageMagick converts it: magick {shlex.quote(str(path))} -depth 8 "
            f"{shlex.quote(path.stem)}-8bit.png"
        ) from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        most = PIL.Image.MAX_IMAGE_PIXELS
        raise ImageError(f"{path}: more than {most:,} pixels, which looks like a decompression bomb.") from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost anything on a damaged file
        raise ImageError(f"{path}: the image cannot be decoded ({one_line(error)}); is it cut short?") from None


def shape(path: Path) -> tuple[int, int]:
    """Return the height and width that the header of an image file says, in pixels; an ImageError where it cannot."""
    with opened(path) as image:
        return image.height, image.width


def _bits(image: PIL.Image.Image) -> int:
    """Return the bits per channel in the file; Pillow opens 16-bit RGB as ``RGB``."""
    if (tags := getattr(image, "tag_v2", None)) is not None:
        return int(max(tags.get(ExifTags.Base.BitsPerSample, (1,))))  # of TIFF
    tiles = getattr(image, "tile", None) or ()  # each with a raw mode, which of PNG ends in ;16B
    return 16 if image.mode[0] in "IF" or any(str(tile[3]).endswith(";16B") for tile in tiles) else 8


def _too_deep(path: Path, mode: str, bits: int) -> ImageError:
    opened, white = f"Image.open({str(path)!r})", {"F": 1, "I": 65535}.get(mode, 2**bits - 1)
    eight = f"{opened}.convert('RGB')"  # Pillow keeps the upper 8 bits of each channel
    if mode[0] in "IF":
        scaled = f"(numpy.asarray({opened}) * (255 / {white})).clip(0, 255).round().astype('uint8')"
        eight = f"Image.fromarray({scaled})"
    saved = f"{eight}.save({str(path.with_name(path.stem + '-8bit.png'))!r})"
    return ImageError(
        f"{path}: {bits} bits a channel (mode {mode}) where 8 are needed. Convert it, with {white} as white, by "
        f"these statements of Python: import numpy; from PIL import Image; {saved}"
    )


def _converted(path: Path, image: PIL.Image.Image) -> PIL.Image.Image:
    """Decode an opened file, and return it as RGB; what is dropped is noted."""
    shown = image.convert("LA") if image.mode == "La" else image  # which Pillow converts to nothing else
    if shown.has_transparency_data and shown.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        notes.add("alpha channel dropped in", path, "transparent pixels count with the color stored under them.")
    if getattr(image, "n_frames", 1) > 1:
        notes.add("further frames ignored in", path, "only the first is compared.")
    return shown.convert("RGB")


def write(path: Path, pixels: Pixels) -> None:
    """Write an image as PNG."""
    PIL.Image.fromarray(pixels).save(path, format="PNG")


def as_png(pixels: Pixels, most: int) -> bytes:
    """Return an image as a PNG file, reduced where a side is longer than ``most`` pixels."""
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((most, most))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # a twentieth larger than the default, in half the time
    return file.getvalue()


def as_batch(images: Iterable[Pixels]) -> Tensor:
    """Return images of one size as RGB in [0, 1], float32, ``(batch, 3, height, width)``, channels last in memory."""
    stacked = torch.from_numpy(np.stack(list(images)))
    return stacked.permute(0, 3, 1, 2).float().div_(255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triple:
    """One drawn case: the distorted image should be closer to the original than every reference.

    Attributes:
        original, distorted: two different images of one size.
        references: images of that size, none equal to the original, by name.
        drawn: what it was drawn with, for the report.
    """

    original: Image
    distorted: Image
    references: dict[str, Image]
    drawn: dict[str, object] = field(default_factory=dict)

    @property
    def compared(self) -> list[Image]:
        """Return the images that the original is compared with: the distorted one, then the references."""
        return [self.distorted, *self.references.values()]

    @property
    def digest(self) -> str:
        """Return the SHA-256 over original, distorted image and references, in order; see `digest`."""
        return digest(image.pixels for image in [self.original, *self.compared])


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256, hexadecimal, of the bytes of files in order of their names."""
    total = hashlib.sha256()
    for path in sorted(set(paths), key=lambda path: (path.name, path)):
        total.update(path.read_bytes())
    return total.hexdigest()

"""Images: reading and writing files, conversion to tensors, and digests."""

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
        digest: SHA-256 of its shape and bytes; images with the same digest are equal.
        shared: used by cases of every probe, so its representations are cached.
    """

    pixels: Pixels = field(repr=False, compare=False)
    digest: str
    shared: bool = False


def make_image(pixels: Pixels, *, shared: bool = False) -> Image:
    """Return pixels as an image with its digest."""
    return Image(pixels=pixels, digest=digest([pixels]), shared=shared)


def digest(images: Iterable[Pixels]) -> str:
    """Return the SHA-256, hexadecimal, of the shape and the 8-bit RGB bytes of images, in order."""
    hasher = hashlib.sha256()
    for pixels in images:
        hasher.update(str(pixels.shape).encode())
        hasher.update(np.ascontiguousarray(pixels).tobytes())
    return hasher.hexdigest()


def read(path: Path, data: bytes | None = None) -> Pixels:
    """Read an image file of at most 8 bits per channel, or its bytes, with Pillow's ``convert("RGB")``.

    The format is determined from the content. Alpha is dropped, not composited; EXIF orientation is not applied;
    further frames and color profiles are ignored. Each is noted in `dps.notes` if it makes a difference.

    Raises:
        ImageError: the file does not exist, has an unsupported format or depth, is damaged, or is too large.
    """
    path = files.find(path) if data is None else path
    with open_image(path, data) as image:
        orientation = image.getexif().pop(ExifTags.Base.Orientation, 1)  # popped, or Pillow applies it to TIFF
        rgb = _to_rgb(path, image)
        if orientation in range(2, 9):
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
    """Read an image file with its EXIF orientation applied; raises as `read`.

    A JPEG may be decoded at a reduced size, with at least `shorter` pixels along its shorter side.
    """
    with open_image(path) as image:
        width, height = (math.ceil(side * shorter / min(image.size)) for side in image.size)
        image.draft("RGB", (width, height))
        return np.array(PIL.ImageOps.exif_transpose(_to_rgb(path, image)))


@contextlib.contextmanager
def open_image(path: Path, data: bytes | None = None) -> Iterator[PIL.Image.Image]:
    """Open an image file of at most 8 bits per channel; the pixels are decoded on first access.

    Raises:
        ImageError: as for `read`; exceptions in the body of the ``with`` statement are converted, too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)  # about metadata
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
            f"{path}: not an image that can be read; {', '.join(FORMATS)} can, except rare kinds such as 12-bit JPEG. "
            f"If it is complete, ImageMagick converts it: magick {shlex.quote(str(path))} -depth 8 "
            f"{shlex.quote(path.stem)}-8bit.png"
        ) from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise ImageError(
            f"{path}: more than {PIL.Image.MAX_IMAGE_PIXELS:,} pixels, which looks like a decompression bomb."
        ) from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost anything on a damaged file
        raise ImageError(f"{path}: the image cannot be decoded ({one_line(error)}); is it cut short?") from None


def shape(path: Path) -> tuple[int, int]:
    """Return the height and width in the header of an image file, in pixels; raises as `read`."""
    with open_image(path) as image:
        return image.height, image.width


def _bits(image: PIL.Image.Image) -> int:
    """Return the bits per channel of the file; Pillow reports 16-bit RGB as mode ``RGB``."""
    if (tags := getattr(image, "tag_v2", None)) is not None:
        return int(max(tags.get(ExifTags.Base.BitsPerSample, (1,))))  # TIFF
    tiles = getattr(image, "tile", None) or ()  # each with a raw mode, which ends in ;16B for 16-bit PNG
    return 16 if image.mode[0] in "IF" or any(str(tile[3]).endswith(";16B") for tile in tiles) else 8


def _too_deep(path: Path, mode: str, bits: int) -> ImageError:
    image, white = f"Image.open({str(path)!r})", {"F": 1, "I": 65535}.get(mode, 2**bits - 1)
    converted = f"{image}.convert('RGB')"  # Pillow keeps the upper 8 bits of each channel
    if mode[0] in "IF":
        pixels = f"(numpy.asarray({image}) * (255 / {white})).clip(0, 255).round().astype('uint8')"
        converted = f"Image.fromarray({pixels})"
    save = f"{converted}.save({str(path.with_name(path.stem + '-8bit.png'))!r})"
    return ImageError(
        f"{path}: {bits} bits per channel (mode {mode}), but at most 8 can be read. Convert it, with {white} as white, "
        f"by these Python statements: import numpy; from PIL import Image; {save}"
    )


def _to_rgb(path: Path, image: PIL.Image.Image) -> PIL.Image.Image:
    """Decode an image as RGB, and note dropped alpha and frames."""
    frame = image.convert("LA") if image.mode == "La" else image  # the only conversion of La that Pillow has
    if frame.has_transparency_data and frame.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        notes.add("alpha channel dropped in", path, "transparent pixels count with the color stored under them.")
    if getattr(image, "n_frames", 1) > 1:
        notes.add("further frames ignored in", path, "only the first is compared.")
    return frame.convert("RGB")


def write(path: Path, pixels: Pixels) -> None:
    """Write an image as PNG."""
    PIL.Image.fromarray(pixels).save(path, format="PNG")


def as_png(pixels: Pixels, longest_side: int) -> bytes:
    """Return an image as a PNG file, reduced to at most `longest_side` pixels per side."""
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((longest_side, longest_side))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # 5 % larger than the default, in half the time
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
        drawn: the parameters it was drawn with, for the report.
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
        """Return the `digest` of original, distorted image and references, in order."""
        return digest(image.pixels for image in [self.original, *self.compared])


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256, hexadecimal, of the bytes of files, in order of their names."""
    hasher = hashlib.sha256()
    for path in sorted(set(paths), key=lambda path: (path.name, path)):
        hasher.update(path.read_bytes())
    return hasher.hexdigest()

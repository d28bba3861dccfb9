"""Photographs as contents of scenes: built-in ones from scikit-image's wheel, and those in a user's folder.

Headers are read at once, pixels when a case is drawn. Pillow only decodes. EXIF orientation is applied, and the image
is reduced by area averaging in integers, so losslessly stored photographs are identical on every machine.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import site
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dps import files, images, notes, weights
from dps.errors import ImageError, UsageError, WeightsError
from dps.images import Pixels

BUILT_IN = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",  # public domain, NASA
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",  # CC0
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",  # CC0
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",  # public domain, NASA
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",  # CC0
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",  # public domain, SpaceX
}
"""The built-in photographs: files in ``skimage/data/`` of scikit-image's wheels, and their SHA-256."""

WHEEL = (
    "scikit-image==0.26.0 --hash=sha256:7df650e79031634ac90b11e64a9eedaf5a5e06fcd09bcd03a34be01745744466",
    ("--platform=manylinux_2_28_x86_64", "--python-version=3.12"),
)
"""A wheel that contains them: pip's requirement and platform options. It is unpacked, not installed."""

MIN_SIDE = 64
"""Minimum height and width of a photograph in pixels."""

STRIP = 64
"""Columns of an image that are summed at once, to limit memory."""

MAX_FAULTS = 10
"""Number of a folder's invalid files that are listed."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph file.

    Attributes:
        name: of the file.
        folder: of the file; None for a built-in photograph.
        pool: names of the photographs that may replace it, in the same folder.
    """

    name: str
    folder: Path | None = None
    pool: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return self.name

    def others(self) -> "list[Photograph]":
        """Return the other photographs of its pool."""
        return [replace(self, name=name) for name in self.pool if name != self.name]

    def path(self) -> Path:
        """Return the path of its file; a WeightsError if a built-in one is missing or altered."""
        return _find(self.name) if self.folder is None else self.folder / self.name

    def reduced(self, shorter: int) -> Pixels:
        """Decode it upright, with at most `shorter` pixels along its shorter side, ``(height, width, 3)``.

        Raises:
            ImageError: it cannot be decoded.
            WeightsError: a built-in one is missing or altered.
        """
        path = self.path()
        modified = path.stat().st_mtime_ns if path.exists() else 0
        return _reduced(path, modified, shorter)


def built_in() -> list[Photograph]:
    """Return the built-in photographs, whose files may not be installed."""
    return [Photograph(name, pool=tuple(BUILT_IN)) for name in BUILT_IN]


def in_folder(folder: Path) -> list[Photograph]:
    """Return the photographs of a folder, sorted by name, without hidden files and subfolders.

    Raises:
        UsageError: not a folder, no photograph in it, or one line for each file that is not a valid photograph.
    """
    folder = files.find(folder)
    if not folder.is_dir():
        raise UsageError(f"--images {folder}: no such folder of photographs.")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"--images {folder}: cannot be read ({error.strerror}).") from None
    paths, faults = [], []
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            notes.add("not searched for photographs:", path, "subfolders are ignored.")
            continue
        try:
            check(path)
            paths.append(path)
        except ImageError as error:
            faults.append(f"{error} Move it out of --images {folder}, or replace it.")
    if faults:
        more = [f"--images {folder}: {len(faults) - MAX_FAULTS} more files."] if len(faults) > MAX_FAULTS else []
        raise UsageError("\n".join([*faults[:MAX_FAULTS], *more]))
    if not paths:
        raise UsageError(f"--images {folder}: no image file in it; {', '.join(images.FORMATS)} are read.")
    pool = tuple(path.name for path in paths)
    return [Photograph(name, folder.absolute(), pool) for name in pool]


def check(path: Path) -> None:
    """Read the header of a file; an ImageError if it is not a valid photograph."""
    height, width = images.shape(path)
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{path}: {width} x {height} pixels; a photograph has at least {MIN_SIDE} along both sides.")


# ---------------------------------------------------------------------------------------- built-in photographs


def folders() -> list[Path]:
    """Return the folders that `install` writes to: in the environment, or else in pip's user base."""
    return [Path(base) / "share" / "dps" / "photographs" for base in (sys.prefix, site.getuserbase())]


def install() -> None:
    """Install missing and altered built-in photographs, from a wheel that pip downloads and verifies.

    Raises:
        WeightsError: pip failed, or no folder can be written.
    """
    missing = [name for name in BUILT_IN if not any(_intact(path, name) for path in _places(name))]
    if not missing:
        return
    requirement, platform = WHEEL
    with tempfile.TemporaryDirectory() as place:
        weights.pip("download", [requirement], "--only-binary=:all:", *platform, f"--dest={place}")
        (wheel,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = {name: archive.read(f"skimage/data/{name}") for name in missing}
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in data.items():
                files.write(folder / name, content)
            return
        except OSError as error:
            fault = f"{folder}: photographs cannot be written there ({error.strerror})."
    raise WeightsError(fault)


def _find(name: str) -> Path:
    """Return the path of a built-in photograph: in an installed scikit-image, or in a folder of `install`."""
    why = "it is not installed"
    for path in _places(name):
        if _intact(path, name):
            return path
        if path.exists():
            why = f"{path} is altered"
    raise WeightsError(f"photograph {name} is missing: {why}. Get the photographs with: dps weights install")


def _places(name: str) -> Iterator[Path]:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield Path(str(importlib.metadata.distribution("scikit-image").locate_file(f"skimage/data/{name}")))
    for folder in folders():
        yield folder / name


@functools.lru_cache(maxsize=64)
def _digest(path: Path, _modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _intact(path: Path, name: str) -> bool:
    return path.is_file() and _digest(path, path.stat().st_mtime_ns) == BUILT_IN[name]


# -------------------------------------------------------------------------------------------------- decoding


@functools.lru_cache(maxsize=32)
def _reduced(path: Path, _modified: int, shorter: int) -> Pixels:
    """Decode a file as `Photograph.reduced` does; cached, since cases share photographs."""
    pixels = images.read_upright(path, shorter)
    height, width, _ = pixels.shape
    scale = shorter / min(height, width)
    if scale < 1:
        pixels = averaged(pixels, round(height * scale), round(width * scale))
    pixels.setflags(write=False)
    return pixels


def averaged(pixels: Pixels, height: int, width: int) -> Pixels:
    """Reduce an image by area averaging: each new pixel is the mean of its area, rounded half up."""
    rows = _sums(pixels, height)
    sums = _sums(rows.swapaxes(0, 1), width).swapaxes(0, 1)
    area = pixels.shape[0] * pixels.shape[1]
    means: NDArray[np.int64] = (2 * sums + area) // (2 * area)
    return means.astype(np.uint8)


def _sums(values: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Sum `count` equal parts of the first axis; elements have weight `count`, split where parts share one."""
    starts, rest = np.divmod(np.arange(count) * len(values), count)  # of parts, the rest in units of 1/count
    sums = np.empty((count, *values.shape[1:]), np.int64)
    for start in range(0, values.shape[1], STRIP):
        strip = values[:, start : start + STRIP].astype(np.int64)
        shared = rest[:, None, None] * strip[starts]  # of each part's first element, the share of the previous part
        part = count * np.add.reduceat(strip, starts) - shared
        part[:-1] += shared[1:]
        sums[:, start : start + STRIP] = part
    return sums

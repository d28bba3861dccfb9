"""The images of a run's cases, each once: on the disk, since there may be many, and as plain data between processes."""

import functools
import io
import tempfile
import weakref
from collections.abc import Container, Iterable, Mapping
from typing import Any

from dps import images
from dps.errors import DpsError
from dps.images import Triple
from dps.probes import Case

LONGEST_SIDE = 256
"""Of an image in the report, in pixels; a larger one is shown smaller."""


class Album:
    """Images by what they are, and which of them each case has.

    Attributes:
        cases: by ``probe/case``: the digests of its ``original`` and ``distorted`` image, and of its ``references``
            by name.
        fault: why images are missing; empty if none is.
    """

    def __init__(self) -> None:
        self.cases: dict[str, dict[str, Any]] = {}
        self.fault = ""
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    def __contains__(self, digest: object) -> bool:
        return digest in self._places

    @functools.cached_property
    def _file(self) -> io.FileIO:
        file: io.FileIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long as the album
        weakref.finalize(self, file.close)
        return file

    def size(self, digest: str) -> int:
        """Bytes of an image's file."""
        return self._places[digest][1]

    def png(self, digest: str) -> bytes:
        """An image as a PNG file."""
        start, size = self._places[digest]
        self._file.seek(start)
        return self._file.read(size)

    def add(self, name: str, triple: Triple) -> None:
        """Take in a case."""
        self.update(entry(name, triple, self))

    def update(self, new: Mapping[str, Any]) -> None:
        """Take in an `entry`; once the disk has no room for images, cases go without."""
        if self.fault:
            return
        try:
            for digest, png in new["images"].items():
                if digest not in self._places:
                    self._keep(digest, png)
        except OSError as error:
            self.fault = f"images of cases cannot be kept on the disk ({error.strerror or error})"
        else:
            self.cases.update(new["cases"])

    def _keep(self, digest: str, png: bytes) -> None:
        self._file.seek(self._end)
        rest = memoryview(png)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._places[digest] = self._end, len(png)
        self._end += len(png)


def entry(name: str, triple: Triple, known: Container[str]) -> dict[str, Any]:
    """What an album has to be told of a case, as plain data.

    Args:
        name: ``probe/case``.
        triple: its images.
        known: digests of images that need not be told again.

    Returns:
        ``cases``, as an album has them, and ``images``: PNG files by digest.
    """
    digests = {
        "original": triple.original.digest,
        "distorted": triple.distorted.digest,
        "references": {reference: picture.digest for reference, picture in triple.references.items()},
    }
    new = {
        picture.digest: images.as_png(picture.pixels, LONGEST_SIDE)
        for picture in (triple.original, *triple.compared)
        if picture.digest not in known
    }
    return {"cases": {name: digests}, "images": new}


def drawn_again(rows: Iterable[Mapping[str, Any]], cases: Iterable[Case]) -> Album:
    """Draw the images of a run that is over; a case that is not there any more, or is drawn otherwise now, is left out.

    Args:
        rows: case rows of results.json.
        cases: that may be the run's.
    """
    digests = {f"{row['probe']}/{row['case']}": row.get("images_sha256") for row in rows}
    album = Album()
    for case in cases:
        if digests.get(case.name):
            try:
                triple = case.draw()
            except DpsError:
                continue
            if triple.digest == digests[case.name]:
                album.add(case.name, triple)
    return album

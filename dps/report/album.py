"""The images of a run's cases, each once, as plain data that travels from worker to worker with a test's report."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dps import images
from dps.errors import DpsError
from dps.images import Picture, Triple
from dps.probes import Case

LONGEST_SIDE = 256
"""Of an image in the report, in pixels; a larger one is shown smaller."""


@dataclass(frozen=True, slots=True)
class Album:
    """Images by what they are, and which of them each case has.

    Attributes:
        cases: by ``probe/case``: the digests of its ``original`` and ``distorted`` image, and of its ``references``
            by name.
        images: base64 of a PNG file, by digest of the image.
    """

    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, triple: Triple) -> dict[str, Any]:
        """Take in a case.

        Returns:
            What is new because of it, as `update` takes it.
        """
        digests = {
            "original": triple.original.digest,
            "distorted": triple.distorted.digest,
            "references": {reference: picture.digest for reference, picture in triple.references.items()},
        }
        new = {
            picture.digest: _encoded(picture)
            for picture in (triple.original, *triple.compared)
            if picture.digest not in self.images
        }
        news = {"cases": {name: digests}, "images": new}
        self.update(news)
        return news

    def update(self, news: dict[str, Any]) -> None:
        """Take in what another album has found new."""
        self.cases.update(news["cases"])
        self.images.update(news["images"])


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


def _encoded(picture: Picture) -> str:
    return base64.b64encode(images.as_png(picture.pixels, LONGEST_SIDE)).decode("ascii")

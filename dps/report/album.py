"""The images of a run's cases, each once, as plain data that travels from worker to worker with a test's report."""

import base64
from dataclasses import dataclass, field
from typing import Any

from dps import images
from dps.images import Picture, Triple

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


def _encoded(picture: Picture) -> str:
    return base64.b64encode(images.as_png(picture.pixels, LONGEST_SIDE)).decode("ascii")

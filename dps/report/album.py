"""The images of a run's cases, each encoded once: as PNG files, and in the gallery of the page."""

import base64
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dps import images
from dps.errors import DpsError
from dps.images import Triple
from dps.probes import Case
from dps.rows import Row, VariantKey, case_name, finite, variant_key, was_measured

LONGEST_SIDE = 256
"""Larger images are reduced to this length of the longest side, in pixels."""

IMAGE_BYTES = 13 * 2**20
"""Limit of the images in a page, in base64. Cases that fewer variants pass come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """The images of a run's cases.

    Attributes:
        cases: by ``probe/case``: the digests of its ``original`` and ``distorted`` image, and of its ``references``
            by name.
        pngs: PNG files by the digest of their pixels.
    """

    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    pngs: dict[str, bytes] = field(default_factory=dict)

    def uri(self, digest: str) -> str:
        """Return an image as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.pngs[digest]).decode('ascii')}"

    def add(self, name: str, triple: Triple) -> None:
        """Add a case."""
        self.update(entry(name, triple, self.pngs))

    def update(self, new: Mapping[str, Any]) -> None:
        """Add an `entry`."""
        self.cases.update(new["cases"])
        self.pngs.update(new["images"])


def entry(name: str, triple: Triple, encoded: Container[str]) -> dict[str, Any]:
    """Return a case as plain data for `Album.update`: its ``cases``, and ``images``, PNG files by digest.

    Images with the given digests are already encoded and left out.
    """
    digests = {
        "original": triple.original.digest,
        "distorted": triple.distorted.digest,
        "references": {reference: image.digest for reference, image in triple.references.items()},
    }
    pngs = {
        image.digest: images.as_png(image.pixels, LONGEST_SIDE)
        for image in (triple.original, *triple.compared)
        if image.digest not in encoded
    }
    return {"cases": {name: digests}, "images": pngs}


def redraw(rows: Iterable[Row], cases: Iterable[Case]) -> Album:
    """Draw the images of an earlier run again; cases that have changed or cannot be drawn are left out."""
    digests = {case_name(row): row.get("images_sha256") for row in rows}
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


def gallery(rows: Sequence[Row], drawn: Mapping[str, Row], variants: Sequence[VariantKey], album: Album) -> Row:
    """Return the data of the page's gallery: each image once, and the verdicts of every variant.

    Returns:
        For `rows.json_lines`: ``variants``, ``references`` and ``images`` (data URIs), to which the other lists refer
        by index; ``cases`` with the indices of their images; ``rows`` by case and variant, see `_verdict_values`;
        ``images_left_out``, the number of images beyond `IMAGE_BYTES`.
    """
    by_case: dict[str, dict[VariantKey, Row]] = {}
    for row in rows:
        by_case.setdefault(case_name(row), {})[variant_key(row)] = row
    passed = {name: np.mean([bool(row["passed"]) for row in verdicts.values()]) for name, verdicts in by_case.items()}
    order = sorted(by_case, key=lambda name: (passed[name], name))
    references = sorted({row.get("nearest_reference") or "" for row in rows} - {""})
    digests = {name: _image_digests(by_case[name].values(), album.cases.get(name)) for name in order}
    unique = list(dict.fromkeys(digest for by_role in digests.values() for digest in by_role.values()))
    sizes = np.cumsum([4 * -(-len(album.pngs[digest]) // 3) for digest in unique])
    index = {digest: number for number, digest in enumerate(unique) if sizes[number] <= IMAGE_BYTES}
    return {
        "variants": [[part or "" for part in variant] for variant in variants],
        "references": references,
        "cases": [
            {
                "name": name,
                "drawn": {
                    key: f"{v:.4g}" if isinstance(v, float) else str(v) for key, v in drawn.get(name, {}).items()
                },
                "images": {role: index[digest] for role, digest in digests[name].items() if digest in index},
            }
            for name in order
        ],
        "rows": ([_verdict_values(by_case[name].get(variant), references) for variant in variants] for name in order),
        "images": (album.uri(digest) for digest in index),
        "images_left_out": len(unique) - len(index),
    }


def _image_digests(rows: Iterable[Row], digests: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the digests of a case's images: original, distorted, and the nearest reference of each variant."""
    if digests is None:
        return {}
    nearest = sorted({row.get("nearest_reference") or "" for row in rows} & digests["references"].keys())
    references = {f"reference {name}": digests["references"][name] for name in nearest}
    return {"original": digests["original"], "distorted": digests["distorted"], **references}


def _verdict_values(row: Row | None, references: list[str]) -> list[Any] | None:
    """Return the values of a row in the gallery, without empty ones at the end.

    Passed (None: not measured), distance, index of the nearest reference, its distance, margin, layers of both, error.
    """
    if row is None:
        return None
    nearest = row.get("nearest_reference")
    numbers = (finite(row.get(name)) for name in ("distance", "nearest_reference_distance", "margin"))
    distance, *others = (None if number is None else float(f"{number:.5g}") for number in numbers)
    values = [
        int(bool(row["passed"])) if was_measured(row) else None,
        distance,
        references.index(nearest) if nearest else -1,
        *others,
        _layer_parts(row.get("layers")),
        _layer_parts(row.get("nearest_reference_layers")),
        row.get("error", ""),
    ]
    while values and values[-1] in ("", []):
        values.pop()
    return values


def _layer_parts(layers: Sequence[float] | None) -> list[int]:
    """Return each layer's part of their sum, in thousandths."""
    parts = [finite(layer) or 0.0 for layer in layers or []]
    total = sum(parts)
    return [round(1000 * part / total) for part in parts] if total > 0 else []

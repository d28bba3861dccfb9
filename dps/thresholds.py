"""Psychometric thresholds: the severity of a distortion up to which half of the scenes pass.

A scene is distorted at several levels of severity. It passes at a level where the distorted image is closer to the
original than each visibly damaged one (`distortions.DAMAGES`). Below people's detection threshold, all should pass.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dps import probes, scores
from dps.distortions import DAMAGES
from dps.errors import DpsError
from dps.images import Pixels
from dps.photographs import Photograph
from dps.probes import Probe
from dps.rows import Row, VariantKey, finite
from dps.scenes.contents import FULL, PHOTO
from dps.scenes.rng import Rng

SCENES = 24
"""Number of scenes of each distortion, half of them with drawn contents and half with photographs."""

RESAMPLES = 1000
"""Number of bootstrap resamples of the scenes."""


@dataclass(frozen=True, slots=True)
class GradedDistortion:
    """A distortion at several levels of severity, its distance from the identity.

    Attributes:
        name: of the distortion.
        parameter: its graded parameter.
        unit: of severity.
        levels: of severity, ascending.
        original: the scene without its content, as in a probe file.
        value: converts a severity to a value of the parameter.
        detection_threshold: severity at which people notice the distortion; None where none is published.
        source: of that threshold.
    """

    name: str
    parameter: str
    unit: str
    levels: tuple[float, ...]
    original: Mapping[str, Any] = field(hash=False)
    value: Callable[[float], float] = float
    detection_threshold: float | None = None
    source: str | None = None

    def probe(self, scenes: int | None = None, size: int | None = None, images: Sequence[Photograph] = ()) -> Probe:
        """Return the cases, scene by scene and level by level; the arguments are options of a run."""
        entries = [
            {
                "id": f"$content-$number-${self.parameter}",
                "draw": SCENES // 2,
                "seed": seed,
                "original": {**self.original, "content": content},
                "distorted": {self.name: {self.parameter: {"each": [self.value(level) for level in self.levels]}}},
                "references": [{"damage": {"change": damage}} for damage in DAMAGES if damage != self.name],
            }
            for seed, content in enumerate([{"cycle": list(FULL)}, PHOTO])
        ]
        path, count = Path(f"thresholds of {self.name}"), (scenes or SCENES) * len(self.levels)
        return probes.from_data({"probe": self.name, "cases": entries}, path, count, size, images)


def _levels(first: float, last: float) -> tuple[float, ...]:
    """Return eight severities with equal ratios, to three digits."""
    return tuple(float(f"{level:.3g}") for level in np.geomspace(first, last, 8))


_VIEW = {"scene": "view"}
_WIDE = {"scene": "view", "reach": 1.6}  # for a shift by a quarter, a turn by 45 degrees and a slant by 30
_PATCH = {"scene": "patch", "side": 0.5, "ground": "other"}
_RANGE = "of the range of colors"
_SHIFT = "arXiv:2407.17927, at its 29.2 pixels a degree"  # 0.23 degrees, of 256 pixels
_TURN = "arXiv:2407.17927"

GRADED_DISTORTIONS = (
    GradedDistortion("translate", "right", "of the frame", _levels(0.013, 0.25), _WIDE, float, 0.026, _SHIFT),
    GradedDistortion("rotate", "degrees", "degrees", _levels(1.8, 45), _WIDE, float, 3.6, _TURN),
    GradedDistortion(
        "zoom", "factor", "of the size, larger", _levels(0.013, 0.5), _WIDE, lambda s: 1 + s, 0.026, _TURN
    ),
    GradedDistortion("shear", "degrees", "degrees", _levels(1, 30), _WIDE),
    GradedDistortion("blur", "sigma", "pixels", _levels(0.3, 6), _VIEW),
    GradedDistortion("noise", "deviation", _RANGE, _levels(0.005, 0.3), _VIEW),
    GradedDistortion(
        "jpeg", "quality", "below quality 100", (5, 8, 12, 18, 27, 42, 63, 95), _VIEW, lambda s: 100 - int(s)
    ),
    GradedDistortion("contrast", "factor", "of the contrast, lost", _levels(0.03, 0.9), _VIEW, lambda s: 1 - s),
    GradedDistortion("recolor", "degrees", "degrees of hue", _levels(3, 180), _VIEW),
    GradedDistortion("stain_noise", "strength", _RANGE, _levels(0.02, 1), _PATCH),
)
"""All graded distortions, in the order of tables."""


def draw(
    graded: GradedDistortion, scenes: int | None = None, size: int | None = None, images: Sequence[Photograph] = ()
) -> Pixels:
    """Draw the scenes of a distortion; for the arguments see `GradedDistortion.probe`.

    Returns:
        8-bit RGB, ``(scene, 1 + level + damage, height, width, 3)``: originals, distorted and damaged images.

    Raises:
        DrawError: a case cannot be drawn.
    """
    cases, levels, stacks = graded.probe(scenes, size, images).cases, len(graded.levels), []
    for start in range(0, len(cases), levels):
        others = [replace(case, references={}) for case in cases[start + 1 : start + levels]]  # damages are the same
        first, *more = (case.draw() for case in (cases[start], *others))
        distorted = [triple.distorted for triple in (first, *more)]
        stacks.append([image.pixels for image in (first.original, *distorted, *first.references.values())])
    return np.array(stacks)


def row(graded: GradedDistortion, variant: VariantKey, distances: NDArray[np.float64] | DpsError) -> Row:
    """Return the row of results.json for a distortion and variant.

    Args:
        graded: the distortion.
        variant: measured with.
        distances: from the original to distorted and damaged images, ``(scene, level + damage)``, or an error.
    """
    error = str(distances) if isinstance(distances, DpsError) else scores.invalid(distances)
    severities: tuple[float | None, ...] = (None, None, None)
    passes = None
    if not isinstance(distances, DpsError) and not error:
        passes = passed(distances, len(graded.levels))
        severities = estimate(passes, graded.levels)
    result: Row = {"distortion": graded.name, **variant._asdict(), "unit": graded.unit, "levels": list(graded.levels)}
    result["passed"] = None if passes is None else passes.sum(axis=0).tolist()
    result["cases"] = 0 if passes is None else len(passes)
    for name, severity in zip(("threshold", "low", "high"), severities, strict=True):
        result[name] = finite(severity or None)
        result[f"{name}_beyond"] = None if severity is None else {0: "below", np.inf: "above"}.get(severity)
    result |= {"people": graded.detection_threshold, "source": graded.source}
    return {**result, "error": error} if error else result


def passed(distances: NDArray[np.float64], levels: int) -> NDArray[np.bool_]:
    """Return whether each scene passes at each level, ``(scene, level)``; ties and NaN do not pass. See `row`."""
    passes: NDArray[np.bool_] = distances[:, :levels] < distances[:, levels:].min(axis=1, keepdims=True)
    return passes


def estimate(passes: NDArray[np.bool_], levels: Sequence[float]) -> tuple[float, float, float]:
    """Return the threshold and its 95 % percentile bootstrap interval over scenes; see `crossings`.

    Args:
        passes: whether each scene passes at each level, ``(scene, level)``.
        levels: severities, ascending.
    """
    threshold = crossings(passes.mean(axis=0)[None], levels)[0]
    samples = crossings(passes[_resamples(len(passes))].mean(axis=1), levels)
    low, high = np.quantile(samples, [0.025, 0.975], method="inverted_cdf")  # no interpolation with infinity
    return float(threshold), float(low), float(high)


def crossings(fractions: NDArray[np.float64], levels: Sequence[float]) -> NDArray[np.float64]:
    """Return the largest severity at which half of the scenes pass: 0 below the first level, infinity beyond the last.

    Isotonic regression makes the pass fractions non-increasing; they are interpolated over the logarithm of severity.

    Args:
        fractions: in [0, 1], ``(curve, level)``.
        levels: severities, ascending.
    """
    from scipy.optimize import isotonic_regression  # slow to import

    different, inverse = np.unique(fractions, axis=0, return_inverse=True)
    curves = np.array([isotonic_regression(curve, increasing=False).x for curve in different]) - 0.5
    fails = curves < -1e-9
    right = np.where(fails.any(axis=1), fails.argmax(axis=1), len(levels))
    inside = np.flatnonzero((right > 0) & (right < len(levels)))
    severities = np.where(right == 0, 0.0, np.inf)
    left, logarithms = right[inside] - 1, np.log(levels)
    above, below = curves[inside, left], curves[inside, left + 1]
    part = above / (above - below)
    severities[inside] = np.exp(logarithms[left] + part * (logarithms[left + 1] - logarithms[left]))
    return severities[inverse.ravel()]


@functools.cache
def _resamples(scenes: int) -> NDArray[np.int64]:
    """Return indices of the scenes of each resample, ``(resample, scene)``, the same in every run."""
    return Rng(0, "thresholds").integers(0, scenes - 1, RESAMPLES, scenes)


def below_people(row: Row) -> bool:
    """Return whether the whole interval of a row lies below people's detection threshold."""
    if row["people"] is None or row.get("error"):
        return False
    high = {"below": 0.0, "above": np.inf, None: row["high"]}[row["high_beyond"]]
    return bool(high < row["people"])

"""Psychometric thresholds: the severity of a distortion up to which half of the scenes pass.

A scene is distorted at several levels of severity. At a level it passes where that image is closer to the original than
each visibly damaged one (`distortions.DAMAGES`), so at a severity that people do not notice every scene should pass.
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
"""Number of scenes of a distortion: half of them with drawn contents, half with photographs."""

RESAMPLES = 1000
"""Bootstrap resamples of the scenes."""


@dataclass(frozen=True, slots=True)
class GradedDistortion:
    """A distortion in levels of severity, which is the distance from the unchanged image.

    Attributes:
        name: of the distortion.
        parameter: the one that severity is of.
        unit: of severity, in words.
        levels: of severity, ascending.
        original: the scene without its content, as a probe file has it.
        value: the parameter's value at a severity.
        detection_threshold: of people, in severity; None where none is published.
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
        """Return its cases, scene by scene, level by level; for the arguments see the options of a run."""
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
"""The distortions that are graded, in the order of tables."""


def draw(
    graded: GradedDistortion, scenes: int | None = None, size: int | None = None, images: Sequence[Photograph] = ()
) -> Pixels:
    """Draw a distortion's scenes; for the arguments see `GradedDistortion.probe`.

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
    """Return the row of results.json of a distortion and variant.

    Args:
        graded: the distortion.
        variant: whose distances they are.
        distances: of distorted and damaged images from the original, ``(scene, level + damage)``, or an error.
    """
    count = len(graded.levels)
    error = str(distances) if isinstance(distances, DpsError) else scores.invalid(distances)
    passes = None if isinstance(distances, DpsError) or error else passed(distances, count)
    found = (None, None, None) if passes is None else estimate(passes, graded.levels)
    located: Row = {"distortion": graded.name, **variant._asdict(), "unit": graded.unit, "levels": list(graded.levels)}
    located["passed"] = None if passes is None else passes.sum(axis=0).tolist()
    located["cases"] = 0 if passes is None else len(passes)
    for name, severity in zip(("threshold", "low", "high"), found, strict=True):
        located[name] = finite(severity or None)
        located[f"{name}_beyond"] = None if severity is None else {0: "below", np.inf: "above"}.get(severity)
    located |= {"people": graded.detection_threshold, "source": graded.source}
    return {**located, "error": error} if error else located


def passed(distances: NDArray[np.float64], levels: int) -> NDArray[np.bool_]:
    """Return whether each scene passes at each level, ``(scene, level)``; see `row`. Ties and NaN do not pass."""
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
    low, high = np.quantile(samples, [0.025, 0.975], method="inverted_cdf")  # which interpolates nothing
    return float(threshold), float(low), float(high)


def crossings(fractions: NDArray[np.float64], levels: Sequence[float]) -> NDArray[np.float64]:
    """Return the largest severity at which half pass: 0 below the first level, infinity from the last one on.

    Pass fractions are made non-increasing by isotonic regression, and interpolated over the logarithm of severity.

    Args:
        fractions: in [0, 1], ``(curve, level)``.
        levels: severities, ascending.
    """
    from scipy.optimize import isotonic_regression  # here, since importing it takes long

    different, inverse = np.unique(fractions, axis=0, return_inverse=True)
    curves = np.array([isotonic_regression(curve, increasing=False).x for curve in different]) - 0.5
    fails = curves < -1e-9
    right = np.where(fails.any(axis=1), fails.argmax(axis=1), len(levels))
    inside = np.flatnonzero((right > 0) & (right < len(levels)))
    found = np.where(right == 0, 0.0, np.inf)
    left, logarithms = right[inside] - 1, np.log(levels)
    above, below = curves[inside, left], curves[inside, left + 1]
    part = above / (above - below)
    found[inside] = np.exp(logarithms[left] + part * (logarithms[left + 1] - logarithms[left]))
    return found[inverse.ravel()]


@functools.cache
def _resamples(scenes: int) -> NDArray[np.int64]:
    """Return the scenes of each resample, ``(resample, scene)``, the same in every run."""
    return Rng(0, "thresholds").integers(0, scenes - 1, RESAMPLES, scenes)


def below_people(row: Row) -> bool:
    """Return whether the whole interval of a row lies below people's detection threshold."""
    if row["people"] is None or row.get("error"):
        return False
    high = {"below": 0.0, "above": np.inf, None: row["high"]}[row["high_beyond"]]
    return bool(high < row["people"])

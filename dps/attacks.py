"""Adversarial attacks: changes of a photograph by a few levels of 255 that increase a metric's distance the most.

An attacked photograph is a distorted image like any other: it must be closer to the original than visibly damaged ones.
"""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dps.differentiable import DifferentiableDistance, NotDifferentiableError, gradients
from dps.distortions import DAMAGES
from dps.errors import DpsError, DrawError
from dps.images import Triple, make_image
from dps.measurement import Engine
from dps.metrics import Variant, metric_error
from dps.photographs import Photograph
from dps.rows import Row, finite
from dps.scenes.composition import view
from dps.scenes.plane import render
from dps.scenes.rng import Rng
from dps.verdicts import CaseDistances, judge

BOUNDS = (1, 2, 4, 8)
"""Largest changes of a channel, in levels of 255."""

SHOWN_BOUND = 4
"""Bound of the images on the page and of the table of transferred attacks."""

PHOTOGRAPHS, SIZE = 24, 96
"""Number of windows, and their height and width in pixels."""

STEPS, STEP = 10, 0.25
"""Number of steps along the sign of the gradient, and their length as a fraction of the bound."""


def draw(pool: Sequence[Photograph], size: int) -> NDArray[np.uint8]:
    """Cut windows out of at most `PHOTOGRAPHS` photographs, and damage them; deterministic.

    Args:
        pool: photographs to select from.
        size: height and width in pixels.

    Returns:
        8-bit RGB, ``(photograph, 1 + damage, size, size, 3)``, the originals first.

    Raises:
        DrawError: no window has more than one color.
        ImageError, WeightsError: a photograph cannot be decoded, or is missing.
    """
    selected = Rng("attacks").shuffled(pool)[:PHOTOGRAPHS]
    stacks = []
    for number in range(PHOTOGRAPHS):
        photograph = selected[number * len(selected) // PHOTOGRAPHS]
        with contextlib.suppress(DrawError):
            original = render(view(Rng("attacks", number), size, content=photograph), size)
            damaged = [change(original, Rng("attacks", number, name)) for name, change in DAMAGES.items()]
            stacks.append([original, *damaged])
    if not stacks:
        raise DrawError("no photograph has a window that shows more than one color")
    return np.array(stacks)


def perturb(
    distance: DifferentiableDistance, originals: NDArray[np.uint8], bound: int, at_once: int = PHOTOGRAPHS
) -> NDArray[np.uint8]:
    """Maximize the distance of images to the originals within a bound.

    Projected gradient ascent in the infinity norm from a uniformly random start, rounded to integers.

    Args:
        distance: to maximize.
        originals: 8-bit RGB, ``(image, height, width, 3)``.
        bound: largest change of a channel, in levels of 255.
        at_once: number of images in a batch.

    Returns:
        8-bit RGB of the same shape, within the bound.

    Raises:
        NotDifferentiableError: there is no gradient, it is not finite, or it is 0 everywhere at the first step.
        DpsError: see `DifferentiableDistance.forward`.

    Source:
        Madry et al. 2018, arXiv:1706.06083, Eq. 1; on perceptual metrics, Ghildyal and Liu 2023, arXiv:2305.08840.
    """
    start = Rng("attacks", "start").uniforms(-bound, bound, *originals.shape)
    attacked = []
    for first in range(0, len(originals), at_once):
        batch = slice(first, first + at_once)
        levels, noise = (torch.from_numpy(a[batch]).permute(0, 3, 1, 2).float() for a in (originals, start))
        low, high = (levels - bound).clamp(min=0), (levels + bound).clamp(max=255)
        current = torch.clamp(levels + noise, low, high)
        for step in range(STEPS):
            (gradient,) = gradients(distance, levels / 255, (current / 255).requires_grad_())
            if count := int((~gradient.isfinite()).sum()):
                raise NotDifferentiableError(f"the gradient is not finite in {count} of {gradient.numel()} numbers")
            if step == 0 and not gradient.any():
                raise NotDifferentiableError("the gradient is 0 at every pixel")
            current = torch.clamp(current + STEP * bound * gradient.sign(), low, high)
        attacked.append(current.round().permute(0, 2, 3, 1).numpy().astype(np.uint8))
    result = np.concatenate(attacked)
    assert np.abs(result.astype(int) - originals).max() <= bound
    return result


def attack(
    variant: Variant,
    bound: int,
    stacks: NDArray[np.uint8],
    engine: Callable[[str | None], Engine],
    judges: Sequence[Variant],
) -> tuple[list[Row], Triple | None]:
    """Attack photographs on one variant, and judge the result by this and other variants.

    Args:
        variant: whose distance is maximized.
        bound: largest change of a channel, in levels of 255.
        stacks: photographs and damaged ones, see `draw`.
        engine: returns the engine of a backbone.
        judges: variants that measure the attacked photographs, the attacked one first.

    Returns:
        Rows of results.json, one for each judge, or only that of the attacked variant if the attack failed; and the
        photograph with the largest ratio by the attacked variant, as original and distorted image with the magnified
        difference as reference; None if it could not be measured.
    """
    own_engine = engine(variant.backbone)
    at_once = max(1, own_engine.images_at_once * SIZE**2 // (6 * stacks[0, 0].size // 3))  # activations take memory
    originals = stacks[:, 0]
    try:
        attacked = perturb(DifferentiableDistance(variant, own_engine), originals, bound, at_once)
    except (NotDifferentiableError, DpsError) as error:
        return [_row(variant, variant, bound, error)[0]], None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return [_row(variant, variant, bound, metric_error(variant.metric.name, error))[0]], None
    compared = np.concatenate([originals[:, None], attacked[:, None], stacks[:, 1:]], axis=1)
    distances: dict[Variant, NDArray[np.float64] | DpsError] = {}
    for backbone in dict.fromkeys(other.backbone for other in judges):
        variants = [other for other in judges if other.backbone == backbone]
        distances |= engine(backbone).measure_stack(compared, variants)
    rows, (ratios, *_) = zip(*(_row(other, variant, bound, distances[other]) for other in judges), strict=True)
    if ratios is None:
        return list(rows), None
    worst = int(np.argmax(ratios))
    difference = 127.5 + (attacked[worst].astype(float) - originals[worst]) * 255 / (2 * bound)
    pixels = (originals[worst], attacked[worst], difference.round().astype(np.uint8))
    original, distorted, magnified = map(make_image, pixels)
    return list(rows), Triple(original=original, distorted=distorted, references={"difference": magnified})


def _row(
    variant: Variant, attacked_on: Variant, bound: int, distances: NDArray[np.float64] | Exception
) -> tuple[Row, NDArray[np.float64] | None]:
    """Return a judge's row of results.json, and each photograph's ratio.

    The distances are of the attacked photographs and the damaged ones, ``(photograph, 1 + damage)``; or an error.
    """
    key = {**variant.key._asdict(), "attacked_on": str(attacked_on), "bound": bound}
    error = _fault(distances) if isinstance(distances, np.ndarray) else str(distances).removesuffix(".")
    if error or not isinstance(distances, np.ndarray):
        empty = dict.fromkeys(["held", *(f"held_{name}" for name in DAMAGES), "ratio"])
        return {**key, "photographs": 0, **empty, "error": error}, None
    closer = distances[:, :1] < distances[:, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = distances[:, 0] / distances[:, 1:].min(axis=1)
    counts = {f"held_{name}": int(count) for name, count in zip(DAMAGES, closer.sum(axis=0), strict=True)}
    held, ratio = int(closer.all(axis=1).sum()), finite(float(np.median(ratios)))
    return {**key, "photographs": len(distances), "held": held, **counts, "ratio": ratio, "error": ""}, ratios


def _fault(distances: NDArray[np.float64]) -> str:
    """Return the error of the first photograph with an invalid distance; empty if all are valid."""
    cases = (
        CaseDistances(itself=0.0, distorted=attacked, references=dict(zip(DAMAGES, damaged, strict=True)))
        for attacked, *damaged in distances.tolist()
    )
    return next(filter(None, (judge(case).error for case in cases)), "")

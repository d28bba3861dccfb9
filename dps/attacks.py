"""Changes of a photograph within a few levels of 255, found by gradient ascent on a metric's own distance.

An attacked photograph is a distorted image like any other: it must be closer to the original than each damaged one.
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
"""That of the images on the page, and of the table of transfers."""

PHOTOGRAPHS, SIZE = 24, 96
"""The number of windows, and their height and width in pixels."""

STEPS, STEP = 10, 0.25
"""The number of steps in the direction of the gradient's sign, and their length as a part of the bound."""


def draw(pool: Sequence[Photograph], size: int) -> NDArray[np.uint8]:
    """Cut windows out of photographs, and damage them; the same ones every time.

    Args:
        pool: photographs; of more than `PHOTOGRAPHS`, some.
        size: height and width in pixels.

    Returns:
        8-bit RGB, ``(photograph, 1 + damage, size, size, 3)``, the originals first.

    Raises:
        DrawError: none of them shows more than one color.
        ImageError, WeightsError: one cannot be decoded, or is missing.
    """
    chosen = Rng("attacks").shuffled(pool)[:PHOTOGRAPHS]
    stacks = []
    for number in range(PHOTOGRAPHS):
        photograph = chosen[number * len(chosen) // PHOTOGRAPHS]
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
    """Change images within a bound, so that their distance to the originals becomes large.

    Projected gradient ascent in the infinity norm: uniform noise, then `STEPS` steps; the result is rounded.

    Args:
        distance: that is made large.
        originals: 8-bit RGB, ``(image, height, width, 3)``.
        bound: largest change of a channel, in levels of 255.
        at_once: number of images in a batch.

    Returns:
        8-bit RGB of the same shape, within the bound.

    Raises:
        NotDifferentiableError: there is no gradient, it is not finite, or it is 0 everywhere at the first step.
        DpsError: as `DifferentiableDistance.forward`.

    Source:
        Madry et al. 2018, arXiv:1706.06083, Eq. 1; of perceptual metrics, Ghildyal and Liu 2023, arXiv:2305.08840.
    """
    start = Rng("attacks", "start").uniforms(-bound, bound, *originals.shape)
    attacked = []
    for first in range(0, len(originals), at_once):
        of_batch = slice(first, first + at_once)
        levels, noise = (torch.from_numpy(a[of_batch]).permute(0, 3, 1, 2).float() for a in (originals, start))
        low, high = (levels - bound).clamp(min=0), (levels + bound).clamp(max=255)
        current = torch.clamp(levels + noise, low, high)
        for step in range(STEPS):
            (gradient,) = gradients(distance, levels / 255, (current / 255).requires_grad_())
            if wrong := int((~gradient.isfinite()).sum()):
                raise NotDifferentiableError(f"the gradient is not finite in {wrong} of {gradient.numel()} numbers")
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
    """Attack photographs on one variant, and have others judge the result.

    Args:
        variant: whose distance is made large.
        bound: largest change of a channel, in levels of 255.
        stacks: photographs and damaged ones, see `draw`.
        engine: of a backbone.
        judges: variants that measure the attacked photographs, the attacked one first.

    Returns:
        Rows of results.json in their order, of the attacked variant alone where there is no attack; and the photograph
        of the largest ratio by the attacked variant, as original and distorted image with the magnified difference as
        reference; None where that could not be measured.
    """
    own = engine(variant.backbone)
    at_once = max(1, own.images_at_once * SIZE**2 // (6 * stacks[0, 0].size // 3))  # activations take memory
    originals = stacks[:, 0]
    try:
        attacked = perturb(DifferentiableDistance(variant, own), originals, bound, at_once)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        known = isinstance(error, NotDifferentiableError | DpsError)
        reason = error if known else metric_error(variant.metric.name, error)
        return [_row(variant, variant, bound, str(reason).removesuffix("."))[0]], None
    compared = np.concatenate([originals[:, None], attacked[:, None], stacks[:, 1:]], axis=1)
    distances: dict[Variant, NDArray[np.float64] | DpsError] = {}
    for backbone in dict.fromkeys(each.backbone for each in judges):
        of_backbone = [each for each in judges if each.backbone == backbone]
        distances |= engine(backbone).measure_stack(compared, of_backbone)
    rows, (ratios, *_) = zip(*(_row(each, variant, bound, distances[each]) for each in judges), strict=True)
    if ratios is None:
        return list(rows), None
    worst = int(np.argmax(ratios))
    difference = 127.5 + (attacked[worst].astype(float) - originals[worst]) * 255 / (2 * bound)
    pixels = (originals[worst], attacked[worst], difference.round().astype(np.uint8))
    original, shown, magnified = (make_image(each) for each in pixels)
    return list(rows), Triple(original=original, distorted=shown, references={"difference": magnified})


def _row(
    judged_by: Variant, attacked_on: Variant, bound: int, distances: NDArray[np.float64] | DpsError | str
) -> tuple[Row, NDArray[np.float64] | None]:
    """Return a row of results.json, and each photograph's ratio.

    Args:
        judged_by, attacked_on, bound: what the row is of.
        distances: of the attacked photographs and the damaged ones, ``(photograph, 1 + damage)``; or why there are
            none. Where one of them is no valid distance, it is that.
    """
    key = {**judged_by.key._asdict(), "attacked_on": str(attacked_on), "bound": bound}
    verdicts = []
    if isinstance(distances, np.ndarray):
        verdicts = [
            judge(CaseDistances(itself=0.0, distorted=own, references=dict(zip(DAMAGES, others, strict=True))))
            for own, *others in distances.tolist()
        ]
        distances = next((verdict.error for verdict in verdicts if verdict.error), distances)
    if not isinstance(distances, np.ndarray):
        empty = dict.fromkeys(["held", *(f"held_{name}" for name in DAMAGES), "ratio"])
        return {**key, "photographs": 0, **empty, "error": str(distances)}, None
    closer = distances[:, :1] < distances[:, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = distances[:, 0] / distances[:, 1:].min(axis=1)
    counts = {f"held_{name}": int(count) for name, count in zip(DAMAGES, closer.sum(axis=0), strict=True)}
    held = sum(verdict.passed for verdict in verdicts)
    ratio = finite(float(np.median(ratios)))
    return {**key, "photographs": len(distances), "held": held, **counts, "ratio": ratio, "error": ""}, ratios

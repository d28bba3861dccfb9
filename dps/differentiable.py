"""Variants as differentiable functions of images."""

import torch
from torch import Tensor, nn

from dps.errors import ImageError
from dps.measurement import Engine, pairwise_distances
from dps.metrics import Metric, Variant
from dps.networks.extractor import check_images
from dps.user_code import guest


class NotDifferentiableError(Exception):
    """The distance of a variant has no gradient, for the reason in the message."""


class DifferentiableDistance(nn.Module):
    """The distance of a variant as a module, for example as a loss. Its weights are fixed, and are not parameters.

    It can be copied, but not pickled: to save a model that contains it, save the ``state_dict``.

    Args:
        variant: the metric, with a network and a normalization for a metric of features.
        engine: of that network. The engine determines the device; moving the module has no effect.
    """

    def __init__(self, variant: Variant, engine: Engine) -> None:
        super().__init__()
        self.variant, self._engine = variant, engine

    def __deepcopy__(self, _memo: object) -> "DifferentiableDistance":
        """Return a new module that shares the fixed network, for copies of a model that contains it."""
        return DifferentiableDistance(self.variant, self._engine)

    def extra_repr(self) -> str:
        """Return the variant's label."""
        return str(self.variant)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances of pairs of images.

        Args:
            a, b: originals and the images compared with them, RGB in [0, 1], ``(batch, 3, height, width)``, on any
                device.

        Returns:
            Distances, ``(batch,)``, with gradients, with the dtype and device of `a`; no unit.

        Raises:
            ImageError: the images have the wrong shape or range, or a size that the network or metric does not accept.
            MetricError: the metric or a comparison violated its contract.
            NetworkError: the network failed.
        """
        if a.shape != b.shape:
            raise ImageError(f"both batches must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}.")
        metric, extractor = self.variant.metric, self._engine.extractor
        if isinstance(metric, Metric):
            for images in (a, b):
                check_images(images)
            metric.check_size(min(a.shape[-2:]))
            return metric.differentiable(a, b).to(a)
        assert extractor is not None
        assert self.variant.network is not None
        assert self.variant.normalization is not None
        features = [extractor.features(images) for images in (a, b)]  # separately: often only one needs a gradient
        indices = extractor.layer_indices[self.variant.network]
        layers_of_a, layers_of_b = ([layers[index] for index in indices] for layers in features)
        distances = pairwise_distances(
            layers_of_a, layers_of_b, metric, self.variant.normalization, self._engine.reduction
        )
        return distances.to(a)


def gradients(distance: DifferentiableDistance, a: Tensor, b: Tensor) -> list[Tensor]:
    """Return the gradients of the sum of distances with respect to those of `a` and `b` that require one.

    Raises:
        NotDifferentiableError: the distance has no gradient.
        DpsError: as for `DifferentiableDistance.forward`.
    """
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            distances = distance(a, b)
            with guest.visit():  # the backward pass may run user-defined code
                return list(torch.autograd.grad(distances.sum(), [images for images in (a, b) if images.requires_grad]))
    except RuntimeError as error:  # from PyTorch: nothing requires a gradient, or an operation has none
        raise NotDifferentiableError(f"not differentiable: {str(error).partition(chr(10))[0]}") from None

"""Any variant as a differentiable function of images."""

import torch
from torch import Tensor, nn

from dps.errors import ImageError
from dps.measurement import Engine, pairwise_distances
from dps.metrics import Metric, Variant
from dps.networks.extractor import check_images
from dps.user_code import guest


class NotDifferentiableError(Exception):
    """The distance of a variant has no gradient; the message is the reason."""


class DifferentiableDistance(nn.Module):
    """The distance of a variant as a module, such as for a loss; its weights are fixed, and not among its parameters.

    It can be copied, but not pickled: save the ``state_dict`` of a model that holds it, and load it anew.

    Args:
        variant: a metric, with a network and a normalization if it is of features.
        engine: of that network, which says where to compute; moving the module moves nothing.
    """

    def __init__(self, variant: Variant, engine: Engine) -> None:
        super().__init__()
        self.variant, self._engine = variant, engine

    def __deepcopy__(self, _memo: object) -> "DifferentiableDistance":
        """Return a module of its own with the same fixed network, as for a copy of the model that holds it."""
        return DifferentiableDistance(self.variant, self._engine)

    def extra_repr(self) -> str:
        """Return the variant's label."""
        return str(self.variant)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances of pairs of images.

        Args:
            a: originals, RGB in [0, 1], ``(batch, 3, height, width)``, on any device.
            b: what they are compared with, of the same shape.

        Returns:
            Distances, ``(batch,)``, with gradients, of the type and on the device of `a`; no unit.

        Raises:
            ImageError: the images have another shape or range, or a size that the network or metric does not take.
            MetricError: the metric or a comparison broke its contract.
            NetworkError: the network failed.
        """
        if a.shape != b.shape:
            raise ImageError(f"both batches must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}.")
        metric, extractor = self.variant.metric, self._engine.extractor
        if isinstance(metric, Metric):
            for images in (a, b):
                check_images(images)
            metric.check_size(min(a.shape[-2:]))
            return metric.differentiable(a, b).to(a)
        assert extractor is not None
        assert self.variant.network is not None
        assert self.variant.normalization is not None
        of_a, of_b = (extractor.features(images) for images in (a, b))  # apart: often one alone needs a gradient
        places = extractor.places[self.variant.network]
        pairs = [of_a[place] for place in places], [of_b[place] for place in places]
        return pairwise_distances(*pairs, metric, self.variant.normalization, self._engine.reduction).to(a)


def gradients(distance: DifferentiableDistance, a: Tensor, b: Tensor) -> list[Tensor]:
    """Return the gradients of the sum of distances at those of both batches that require one, each of its shape.

    Raises:
        NotDifferentiableError: there are none.
        DpsError: as `DifferentiableDistance.forward`.
    """
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            distances = distance(a, b)
            with guest.visit():  # the backward pass may be a user's, too
                return list(torch.autograd.grad(distances.sum(), [images for images in (a, b) if images.requires_grad]))
    except RuntimeError as error:  # PyTorch's own: nothing requires a gradient, or an operation has none
        raise NotDifferentiableError(f"not differentiable: {str(error).partition(chr(10))[0]}") from None

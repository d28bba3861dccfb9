"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6, and with TensorFlow's padding.

Source: Tan and Le 2019, arXiv:1905.11946; the Lite variants, Google 2020. Modules are named as in the weights file.
"""

from torch import Tensor, nn

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""For each stage: blocks, kernel size, stride of the first block, expansion factor, output channels."""

STEM_CHANNELS = 32

EPSILON = 1e-3
"""The epsilon of each batch normalization."""


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: at stride 2, one more row below and one more column on the right.

    Args:
        inputs, outputs: channels.
        size: of the kernel, in positions.
        stride: 1 or 2.
        groups: see `torch.nn.Conv2d`.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, groups=groups, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Pad and convolve ``(batch, channel, height, width)``."""
        edges: list[int] = []
        for length in features.shape[:1:-1]:  # width first, as PyTorch pads
            total = max(0, (-(-length // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - length)
            edges += [total // 2, total - total // 2]
        if edges[0] == edges[1] and edges[2] == edges[3]:
            return nn.functional.conv2d(
                features, self.weight, None, self.stride, (edges[2], edges[0]), groups=self.groups
            )
        return super().forward(nn.functional.pad(features, edges))


class Block(nn.Module):
    """An inverted residual block: expansion, depthwise convolution, projection; signed outputs.

    Args:
        inputs, outputs: channels.
        size, stride: of the depthwise convolution.
        expansion: factor of the hidden channels.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        if expansion > 1:
            self._expand_conv = SameConv(inputs, hidden, 1)
            self._bn0 = nn.BatchNorm2d(hidden, EPSILON)
        self._depthwise_conv = SameConv(hidden, hidden, size, stride, groups=hidden)
        self._bn1 = nn.BatchNorm2d(hidden, EPSILON)
        self._project_conv = SameConv(hidden, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, EPSILON)
        self._residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the block's output channels and stride, ``(batch, channel, height, width)``."""
        hidden = features
        if hasattr(self, "_expand_conv"):
            hidden = nn.functional.relu6(self._bn0(self._expand_conv(hidden)))
        hidden = nn.functional.relu6(self._bn1(self._depthwise_conv(hidden)))
        projected: Tensor = self._bn2(self._project_conv(hidden))
        return features + projected if self._residual else projected


class EfficientNetLite0(nn.Module):
    """The convolutions of EfficientNet-Lite0 up to the last block, without the head."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM_CHANNELS, 3, 2)
        self._bn0 = nn.BatchNorm2d(STEM_CHANNELS, EPSILON)
        blocks, inputs = [], STEM_CHANNELS
        for repeats, size, stride, expansion, outputs in STAGES:
            for number in range(repeats):
                blocks.append(Block(inputs, outputs, size, stride if number == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last block's features of normalized images, ``(batch, 3, height, width)``."""
        features: Tensor = self._blocks(nn.functional.relu6(self._bn0(self._conv_stem(images))))
        return features

"""Networks of this study's own design, offered beside timm's with the same three methods.

CompactCNN is built for CIFAR-sized images and for processors whose matrix units like wide, dense
convolutions:

* a 3×3 stem at full resolution, because a 32 px image has no pixels to spare;
* three stages at 16, 8 and 4 px whose width doubles as the resolution halves, so that every stage
  costs the same number of multiplications and none starves the arithmetic units;
* 2×2 stride-2 convolutions between stages: each input pixel is read once, nothing is thrown away
  as a stride-2 3×3 or a pooling layer would;
* one pre-activation-free residual block of two 3×3 convolutions per stage (He et al. 2016,
  https://arxiv.org/abs/1512.03385), whose second batch norm starts at zero so that the network is
  shallow at first (Goyal et al. 2017, https://arxiv.org/abs/1706.02677);
* no depthwise convolution: it saves multiplications that are not the bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """x + f(x), f being two 3×3 convolutions with batch norm, then ReLU; shape (N, C, H, W) kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _normalised(nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.norm(self.second(self.first(x))))


class CompactCNN(nn.Module):
    """From-scratch CNN for (N, 3, 32, 32) images; ``width`` is the first stage's channel count.

    Like timm's networks it offers ``forward_features`` -> (N, 4·width, H/8, W/8), ``forward_head``
    -> (N, 4·width), ``num_features`` and ``head_hidden_size``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        self.stem = _normalised(nn.Conv2d(3, width // 2, 3, padding=1, bias=False))
        inputs = (width // 2, *widths)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(_normalised(nn.Conv2d(i, o, 2, stride=2, bias=False)), Residual(o))
                for i, o in zip(inputs, widths, strict=False)
            )
        )
        self.num_features = self.head_hidden_size = widths[-1]
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.stages(self.stem(x))

    def forward_head(self, features: Tensor, pre_logits: bool = True) -> Tensor:
        return self.pool(features).flatten(1)


OWN_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "compact_cnn": lambda: CompactCNN(96),
    "compact_cnn_small": lambda: CompactCNN(48),
}

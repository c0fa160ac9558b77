"""Networks of this study's own design, offered beside timm's with the same three methods.

CompactCNN is built for small images and few passes over them; figures below are for 32 px:

* its stem is not learnt: the principal components of small patches of natural images are close to
  the cosine transform (Ahmed, Natarajan & Rao 1974, https://doi.org/10.1109/T-C.1974.223784) of
  luminance and two colour differences, so these twelve 2×2 filters and a batch norm whiten the
  pixels without looking at the data first, as learnt whitening stems do (Jordan 2024,
  https://arxiv.org/abs/2404.00498);
* each filter is there with both signs (Shang et al. 2016, https://arxiv.org/abs/1603.05201), since the
  activation would otherwise suppress one of them;
* the unpadded stem turns 32 px into 31, which pooling halves to 15, 7 and 3: a quarter fewer
  multiplications in the widest stages than 16, 8 and 4;
* pooling comes before norm and activation (GELU, Hendrycks & Gimpel 2016, https://arxiv.org/abs/1606.08415), so that in
  training everything elementwise runs at a quarter of the size; as this norm has no learnt scale, which might be
  negative, it may change places with pooling afterwards, and a runtime can fold it into the convolution;
* each of three stages ends in a second 3×3 convolution; both begin by passing their inputs on (Zagoruyko & Komodakis
  2017, https://arxiv.org/abs/1706.00388), after which a residual sum is not needed;
* the last map is averaged: its maximum, which Jordan's networks take, was less accurate after few epochs;
* no depthwise convolution: it saves multiplications that are not the bottleneck;
* images of twice the size get a stage more, so that the last map has about 3×3 cells in any case.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Share of the new batch in the running statistics: short trainings move weights quickly.
BATCH_NORM_MOMENTUM = 0.3


def cosine_filters() -> Tensor:
    """The twelve orthonormal filters (12, 3, 2, 2): 2×2 cosine transform × luminance and two colour differences."""
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    opponent = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    opponent /= opponent.norm(dim=1, keepdim=True)
    return torch.einsum("kc,iy,jx->kijcyx", opponent, pair, pair).reshape(12, 3, 2, 2)


class WhiteningStem(nn.Module):
    """Fixed cosine filters with both signs, normalised: (N, 3, H, W) -> (N, 24, H - 1, W - 1)."""

    width = 24

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", torch.cat([cosine_filters(), -cosine_filters()]))
        self.norm = nn.BatchNorm2d(self.width, momentum=BATCH_NORM_MOMENTUM)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(nn.functional.conv2d(x, self.filters)))  # type: ignore[arg-type]


class Block(nn.Module):
    """3×3 convolution, maximum over ``pooled`` cells a side, norm without scale, GELU.

    (N, C, H, W) -> (N, ``width``, H / pooled, W / pooled). Its first C filters begin as the identity.
    """

    def __init__(self, inputs: int, width: int, pooled: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        nn.init.dirac_(self.convolution.weight.data[:inputs])
        self.pool = nn.MaxPool2d(pooled) if pooled > 1 else nn.Identity()
        self.norm = nn.BatchNorm2d(width, momentum=BATCH_NORM_MOMENTUM, affine=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        bias = self.bias[:, None, None].to(x.dtype)  # autocast would add them in float32, and stay in it
        if self.training:
            return self.activation(self.norm(self.pool(x)) + bias)
        return self.activation(self.pool(self.norm(x) + bias))  # the same; a runtime folds norm and bias


class CompactCNN(nn.Module):
    """From-scratch CNN for images (N, 3, S, S) of some 32 px, 64 if ``deep``; ``width`` is the first stage's channels.

    Like timm's networks it offers ``forward_features`` -> (N, 4·width, 3, 3), ``forward_head``
    -> (N, 4·width), ``num_features`` and ``head_hidden_size``.
    """

    def __init__(self, width: int, deep: bool = False) -> None:
        super().__init__()
        self.stem = WhiteningStem()
        widths = (self.stem.width, width, *([2 * width] if deep else []), 4 * width, 4 * width)
        self.stages = nn.Sequential(
            *(nn.Sequential(Block(i, o, pooled=2), Block(o, o)) for i, o in zip(widths, widths[1:], strict=False))
        )
        self.num_features = self.head_hidden_size = widths[-1]
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward_features(self, x: Tensor) -> Tensor:
        return self.stages(self.stem(x))

    def forward_head(self, features: Tensor, pre_logits: bool = True) -> Tensor:
        return self.pool(features)


OWN_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "compact_cnn": lambda: CompactCNN(64),
    "compact_cnn_deep": lambda: CompactCNN(64, deep=True),
    "compact_cnn_small": lambda: CompactCNN(32),
    "compact_cnn_wide": lambda: CompactCNN(96),
    "compact_cnn_wide_deep": lambda: CompactCNN(96, deep=True),
    "compact_cnn_small_deep": lambda: CompactCNN(32, deep=True),
}

"""Networks of this study's own design, offered beside timm's with the same three methods.

CompactCNN is built for small images and few passes over them; figures below are for 32 px:

* its stem is not learnt: the principal components of small patches of natural images are close to
  the cosine transform (Ahmed, Natarajan & Rao 1974, https://doi.org/10.1109/T-C.1974.223784) of
  luminance and two colour differences, so these twelve 2×2 filters and a batch norm whiten the
  pixels without looking at the data first, as learnt whitening stems do (Jordan 2024,
  https://arxiv.org/abs/2404.00498);
* each filter is there with both signs (Shang et al. 2016, https://arxiv.org/abs/1603.05201), since the
  activation would otherwise discard one of them;
* the unpadded stem turns 32 px into 31, which pooling halves to 15, 7 and 3: a quarter fewer
  multiplications in the widest stages than 16, 8 and 4;
* pooling comes between convolution and norm, so that in training everything elementwise runs at a quarter
  of the size; as this norm has no learnt scale, which might be negative, the two may change places
  afterwards, and a runtime can fold the norm into the convolution;
* each of three stages ends in a residual 3×3 convolution whose norm starts at zero (Goyal et al. 2017,
  https://arxiv.org/abs/1706.02677), so that the network is shallow at first;
* no depthwise convolution: it saves multiplications that are not the bottleneck;
* images of twice the size get a stage more, so that the last map has about 3×3 cells in any case.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Share of the new batch in the running statistics: short trainings move weights quickly.
BATCH_NORM_MOMENTUM = 0.3


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, momentum=BATCH_NORM_MOMENTUM)


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
        self.norm = _norm(self.width)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(nn.functional.conv2d(x, self.filters)))  # type: ignore[arg-type]


class Downsampling(nn.Module):
    """3×3 convolution, 2×2 maximum, norm without scale, ReLU: (N, C, H, W) -> (N, ``width``, H/2, W/2)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.BatchNorm2d(width, momentum=BATCH_NORM_MOMENTUM, affine=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x, bias = self.convolution(x), self.bias[:, None, None]
        if self.training:
            return self.activation(self.norm(self.pool(x)) + bias)
        return self.pool(self.activation(self.norm(x) + bias))  # the same; a runtime folds all into the convolution


class Residual(nn.Module):
    """x + f(x), f being a 3×3 convolution with batch norm, then ReLU; shape (N, C, H, W) kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = _norm(width)
        nn.init.zeros_(self.norm.weight)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.norm(self.convolution(x)))


class GlobalMaxPool(nn.Module):
    """Maximum over space, (N, C, H, W) -> (N, C); a plain pooling layer, as every runtime knows it."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(x, [x.shape[-2], x.shape[-1]]).flatten(1)


class CompactCNN(nn.Module):
    """From-scratch CNN for images (N, 3, S, S) of some 32 px, 64 if ``deep``; ``width`` is the first stage's channels.

    Like timm's networks it offers ``forward_features`` -> (N, 4·width, 3, 3), ``forward_head``
    -> (N, 4·width), ``num_features`` and ``head_hidden_size``.
    """

    pooling = "maximum"

    def __init__(self, width: int, deep: bool = False) -> None:
        super().__init__()
        self.stem = WhiteningStem()
        widths = (self.stem.width, width, *([2 * width] if deep else []), 4 * width, 4 * width)
        self.stages = nn.Sequential(
            *(nn.Sequential(Downsampling(i, o), Residual(o)) for i, o in zip(widths, widths[1:], strict=False))
        )
        self.num_features = self.head_hidden_size = widths[-1]
        self.pool = GlobalMaxPool()

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

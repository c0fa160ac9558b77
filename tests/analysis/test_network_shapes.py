"""Blocks of a network as they really are."""

from __future__ import annotations

import dataclasses

from analysis.network_shapes import Block, blocks_of
from study.experiment import Architecture
from study.models.classifier import build

SMALL = Architecture("compact_cnn_small", attention="se", dropout=0.2)


def test_blocks_hold_every_parameter_and_end_in_the_classes() -> None:
    blocks = blocks_of(dataclasses.asdict(SMALL), 32, 7)
    model = build(SMALL, 7, seed=0)
    assert sum(block.parameters for block in blocks) == sum(p.numel() for p in model.parameters())
    assert blocks[0] == Block("image", (3, 32, 32))
    assert blocks[-1].shape == (7,)


def test_own_networks_are_opened_up_and_show_attention_and_dropout() -> None:
    names = [block.name for block in blocks_of(dataclasses.asdict(SMALL), 32, 10)]
    expected = [
        "image",
        "stem",
        "stage 1",
        "stage 2",
        "stage 3",
        "SE attention",
        "maximum",
        "dropout 0.2",
        "linear",
    ]
    assert names == expected


def test_details_omit_parameters_where_there_are_none() -> None:
    assert Block("mean", (384,)).details == "384"
    assert Block("stem", (48, 32, 32), 1392).details == "48×32×32\n1.39 k"

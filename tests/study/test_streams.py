from __future__ import annotations

import torch

from study.streams import derive, globally_seeded, numpy_generator, torch_generator


def test_streams_differ_by_seed_purpose_and_index() -> None:
    seeds = {derive(s, p, i) for s in range(5) for p in ("order", "augmentation", "dropout") for i in range(5)}
    assert len(seeds) == 5 * 3 * 5


def test_a_stream_starts_afresh_every_time() -> None:
    assert torch.equal(*(torch.rand(4, generator=torch_generator(0, "order", 2)) for _ in range(2)))
    assert numpy_generator(0, "mixup").random() == numpy_generator(0, "mixup").random()


def test_the_global_stream_goes_on_as_if_nothing_had_been_drawn_in_between() -> None:
    with globally_seeded(1):
        expected = torch.rand(3)
        with globally_seeded(0):
            inner = torch.rand(5)
        then = torch.rand(2)
    with globally_seeded(1):
        assert torch.equal(torch.rand(3), expected) and torch.equal(torch.rand(2), then)
    with globally_seeded(0):
        assert torch.equal(torch.rand(5), inner)

"""Separate random streams for initialisation, data order, augmentation and so on.

Every stream is derived from the run's seed, its purpose and an index (the epoch), so that a resumed
run needs no stored generator state, and switching augmentation off leaves order and initialisation alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

CPU = torch.device("cpu")


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """A 63-bit seed that differs for every (seed, purpose, index)."""
    text = f"{seed}/{purpose}/{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def torch_generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(seed, purpose, index))


def numpy_generator(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """A NumPy generator for one purpose."""
    return np.random.default_rng(derive(seed, purpose, index))


@contextmanager
def globally_seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch's global streams for what takes no generator, such as dropout; the device's are then as before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

"""Muon's iterations in the precision that the machine is fast in."""

from __future__ import annotations

from functools import partial

import torch
from timm.optim import muon
from timm.optim.muon import zeropower_via_newtonschulz

from study.machine import Machine


def iterate_on(machine: Machine) -> None:
    """Let timm's Muon orthogonalise in float32 where bfloat16 is emulated, which takes thirty times as long.

    timm has no option for it, so the function that it calls is replaced: for the whole process, as a process has one
    machine.
    """
    dtype = getattr(torch, machine.precision("bfloat16"))
    muon.zeropower_via_newtonschulz = partial(zeropower_via_newtonschulz, dtype=dtype)

"""A foreign net: how it is built, what it takes, how its owner calls it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tests.foreign.plain import T
from torch import nn

from spikeprune.adapters.rest import reset


@dataclass
class Net:
    """A net, a batch as it takes it, and how its owner trains it."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]  # of one sample as the net takes it, without the batch
    call: Callable[[nn.Module, Any], Any] = lambda net, x: net(x)  # to [B, K] or [T, B, K]
    layout: Any = None
    example: Callable[[Any], Any] = lambda x: x[:2]
    mapped: bool = True  # whether a layer feeds a neuron that can be observed
    evaluates: bool = True
    words: int = 0  # size of the vocabulary, if the input is of integers
    steps: int = T  # time steps of a forward
    cuts: tuple[str, ...] = ()  # layers whose channels are pruned and cut
    whole: str = ""  # why others are left whole, or all
    refused: str = ""  # what the refusal at construction says


def per_step(net, x):
    reset(net)
    return torch.stack([net(x) for _ in range(T)])


def over_time(net, x):
    return net(x.expand(T, *x.shape))


def answer(net, x):
    return net(x)["logits"]

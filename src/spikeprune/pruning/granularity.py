"""Granularities of pruning: single weights, or whole channels. The `Pruner` knows this protocol."""

from typing import Protocol

import torch
from torch import Tensor

from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.selection import Selection
from spikeprune.pruning.weights.latent_weights import LatentWeights
from spikeprune.science.masks import Mask
from spikeprune.wiring.tied_channels import ChannelGroup


class Granularity(Protocol):
    """What is pruned as one: it chooses at an event and turns the choice into parameter masks."""

    live: dict[str, Tensor]  # bool, by layer (weights) or by channel group (channels)
    last_magnitude: dict[str, Tensor]  # last live |w| by layer; empty unless a criterion needs it

    notes: tuple[str, ...]  # sentences on what is not pruned

    @property
    def groups(self) -> tuple[ChannelGroup, ...] | None:
        """The channel groups that are pruned; None where single weights are."""

    def check(self) -> None:
        """Refuse, before any training, what the last event would refuse."""

    def density(self) -> float:
        """Live share of the prunable weights of the original net."""

    def live_macs(self) -> dict[str, float]:
        """Multiply-accumulates of the live part of every layer, per sample and time step."""

    def parameter_mask(self) -> Mask:
        """Mask over the model's parameters, by parameter name."""

    def unchanged(self, selection: Selection) -> Mask:
        """Mask of the parameters that keep value and momentum at an event."""

    def train_latent(self, optimizer: torch.optim.Optimizer, steps: int) -> LatentWeights:
        """Train latent weights in place of the net's for `steps`, if the saliency needs them."""

    def penalise(self) -> None:
        """Add a penalty's subgradient to the gradients."""

    def event(self, planned: PlannedEvent, seen: Observations) -> Selection:
        """Choose the live weights or channels and update `live`."""

"""A finished run, opened for analysis: its record, and its nets rebuilt from the saved files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeprune import limits
from spikeprune.errors import RunError
from spikeprune.inference.saved_net import SavedPlan, load, load_masks, read_plan
from spikeprune.lab.report.run_record import RunRecord, read_record
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.science.masks import Mask
from spikeprune.user_code import named_code, refuse_code
from spikeprune.wiring.tied_channels import ChannelGroup, channel_groups
from spikeprune.wiring.trace import trace
from spikeprune.wiring.wiring import Wiring
from spikeprune.zoo.custom import build_model


@dataclass(frozen=True)
class OpenedRun:
    """A finished run; each net is built at its first use, and the data are not read."""

    files: RunFolder
    config: RunConfig
    record: RunRecord
    plan: SavedPlan  # plan.json: arguments of the net, and what was cut
    trust_code: bool = False  # whether code that the files name is imported

    @classmethod
    def at(cls, folder: Path | str, *, trust_code: bool = False) -> Self:
        """Open the run in a folder; a RunError if it holds no finished run, or broken files."""
        files = RunFolder.existing(folder)
        record = read_record(files.path)
        config, plan = RunConfig.load(files.config), read_plan(files.path)
        return cls(files, config, record, plan, trust_code)

    def require_trust(self, *, data: bool) -> None:
        """Refuse code that the files name for the net, or also for the `data`, if not trusted."""
        if not self.trust_code:
            named: dict[str, Any] = {"model": [self.config.model, self.plan["model"]["name"]]}
            refuse_code(
                named_code(named | ({"data": self.config.data} if data else {})), self.files.path
            )

    @property
    def prunes(self) -> bool:
        """Whether the method pruned anything; `dense` does not."""
        return bool(self.record.metrics["cut"])

    @cached_property
    def full(self) -> nn.Module:
        """A net of full size with arbitrary weights; a RunError if it takes untrusted code."""
        self.require_trust(data=False)
        with torch.random.fork_rng([]):
            return build_model(**self.plan["model"])

    @property
    def _example(self) -> Tensor:
        shape = self.plan["input"]["shape"]
        what = f"an input of {shape}, as {self.files.plan} says,"
        limits.require_memory(4 * math.prod(shape), what, error=RunError)
        return torch.zeros(1, *shape)

    @cached_property
    def wiring(self) -> Wiring:
        """Wiring of the uncut net: which weights feed which neurons."""
        steps, layout = self.config.time_steps, self.config.layout
        return trace(self.full, self._example, time_steps=steps, layout=layout)

    @cached_property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Groups of tied channels of the uncut net; a ModelError if they cannot be traced."""
        return channel_groups(self.full, self._example, self.wiring)

    @cached_property
    def masks(self) -> Mask:
        """Live parameters of the full net."""
        return load_masks(self.files.path)

    @cached_property
    def net(self) -> nn.Module:
        """The finished, cut net; a RunError if it takes untrusted code."""
        self.require_trust(data=False)
        return load(self.files.path, user_code=True).net

    def kept(self, module: str, role: str, size: int) -> Tensor:
        """Return which of the `size` positions in a dimension of a module were not cut, bool."""
        entry: Mapping[str, Any] = self.plan["cut"]["modules"].get(module) or {}
        live = torch.zeros(size, dtype=torch.bool)
        live[entry.get(role, list(range(size)))] = True
        return live

    @cached_property
    def live_channels(self) -> Mask:
        """Channels that were not cut, by group; a ModelError if they cannot be traced."""
        live = {}
        for group in self.groups:
            first = group.of("out")[0]
            live[group.name] = self.kept(first.module, "out", first.size)[first.index].any(1)
        return Mask(live)

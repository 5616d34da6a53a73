"""A finished run, opened to be analysed: its record, and its nets rebuilt from the saved files."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeprune.files import read_json
from spikeprune.inference.saved_net import load, load_masks
from spikeprune.lab.report.run_record import RunRecord, read_record
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import resolve
from spikeprune.science.masks import Mask
from spikeprune.wiring.tied_channels import ChannelGroup, channel_groups
from spikeprune.wiring.trace import trace
from spikeprune.wiring.wiring import Wiring
from spikeprune.zoo.custom import build_model


@dataclass(frozen=True)
class Opened:
    """A finished run. Nets are built when first asked for; the data are not touched.

    Attributes:
        files: its folder.
        config: what was run.
        record: what was measured.
        plan: content of `plan.json`: how the net is built, and what was cut.
    """

    files: RunFolder
    config: RunConfig
    record: RunRecord
    plan: dict[str, Any]

    @classmethod
    def at(cls, folder: Path | str) -> Self:
        """Open the run in a folder.

        Raises:
            RunError: there is no run, it is not finished, or its files are broken.
        """
        files = RunFolder.existing(folder)
        record = read_record(files.path)
        return cls(files, RunConfig.load(files.config), record, read_json(files.plan))

    @property
    def prunes(self) -> bool:
        """Whether its method removes anything: `dense` does not."""
        return resolve(self.config).prunes

    @property
    def example(self) -> Tensor:
        """One slice of input, `[1, C, H, W]`, zeros."""
        return torch.zeros(1, *self.plan["input"]["shape"])

    @cached_property
    def full(self) -> nn.Module:
        """A net of full size; its weights say nothing."""
        with torch.random.fork_rng([]):
            return build_model(**self.plan["model"])

    @cached_property
    def wiring(self) -> Wiring:
        """Which weights feed which neurons in the uncut net."""
        return trace(self.full, self.example)

    @cached_property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Groups of tied channels of the uncut net.

        Raises:
            ModelError: a net whose channels cannot be followed.
        """
        return channel_groups(self.full, self.example, self.wiring)

    @cached_property
    def masks(self) -> Mask:
        """Which parameters of the full net live."""
        return load_masks(self.files.path)

    @cached_property
    def net(self) -> nn.Module:
        """The finished, cut net."""
        return load(self.files.path, user_code=True).net

    def kept(self, module: str, role: str, size: int) -> Tensor:
        """Return which of the `size` positions of a module's dimension were not cut, bool."""
        entry = self.plan["cut"]["modules"].get(module, {})
        live = torch.zeros(size, dtype=torch.bool)
        live[entry.get(role, list(range(size)))] = True
        return live

    @cached_property
    def live_channels(self) -> Mask:
        """Which channels were not cut, by group of tied channels.

        Raises:
            ModelError: a net whose channels cannot be followed.
        """
        live = {}
        for group in self.groups:
            first = group.of("out")[0]
            live[group.name] = self.kept(first.module, "out", first.size)[first.index].any(1)
        return Mask(live)

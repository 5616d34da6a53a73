"""The options of `load`."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikeprune import limits
from spikeprune.data.augment import AUGMENTATIONS
from spikeprune.data.formats.recordings import BINNINGS
from spikeprune.errors import ConfigError, require_one_of

_AT_MOST = {"time_steps": limits.TIME_STEPS, "image_size": limits.IMAGE_SIDE}


@dataclass(frozen=True)
class Options:
    """See `spikeprune.data.load` for the meaning of each field."""

    batch_size: int
    time_steps: int
    seed: int
    validation: float = 0.1
    augment: Sequence[str] = ()
    image_size: int | None = None
    limit: int | None = None
    binning: str = "duration"

    def __post_init__(self) -> None:
        for field in ("batch_size", "time_steps", "image_size", "limit"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ConfigError(f"{field} must be a whole number of at least 1, got {value}")
        for field, limit in _AT_MOST.items():
            limits.require_at_most(getattr(self, field) or 0, limit, field, error=ConfigError)
        if not 0.0 <= self.validation < 1.0:
            raise ConfigError(
                "validation is the fraction of the training set that is held out: expected a "
                f"number from 0 up to, not including, 1, got {self.validation}"
            )
        if isinstance(self.augment, str):
            raise ConfigError(f"augment is a list of names, got the single string {self.augment!r}")
        for name in self.augment:
            require_one_of("augmentation", name, AUGMENTATIONS)
        require_one_of("binning of recordings", self.binning, BINNINGS)

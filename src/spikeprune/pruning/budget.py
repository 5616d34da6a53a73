"""The dense net that a budget of operations refers to."""

from collections.abc import Iterable, Mapping

from spikeprune.errors import ConfigError
from spikeprune.pruning.option_types import OPERATIONS
from spikeprune.pruning.options import PruneOptions


def check_reference(
    dense_synops: Mapping[str, float] | None, layers: Iterable[str], options: PruneOptions
) -> None:
    """Refuse SynOps of a dense net that leave out a layer, are all 0, or have no use."""
    if dense_synops is None:
        return
    if not set(options.units) & set(OPERATIONS):
        raise ConfigError(
            f"dense_synops goes with a budget of {' or '.join(OPERATIONS)}, got one of "
            f"{' and '.join(options.units)}"
        )
    missing = [name for name in layers if name not in dense_synops]
    if missing or not sum(dense_synops.values()) > 0:
        what = f"nothing for {', '.join(missing)}" if missing else f"{dict(dense_synops)}"
        raise ConfigError(
            "expected dense_synops to give the SynOps per sample of every layer, some above 0, got "
            f"{what}; take them from spikeprune.evaluate: {{row.name: row.synops for row in "
            "metrics.layers}"
        )

"""What a set of options asks to be gathered before its events."""

from spikeprune.pruning.criteria.growth import BY_CRITICALITY, GROWTH
from spikeprune.pruning.criteria.inputs import NOTHING, Needs
from spikeprune.pruning.criteria.of_channels import CHANNEL_GROWTH, CHANNEL_SALIENCY
from spikeprune.pruning.criteria.of_weights import SALIENCY
from spikeprune.pruning.options import PruneOptions


def needs(options: PruneOptions, *, start: bool = False) -> Needs:
    """Return what the saliency, the regrowth score and the budget of `options` need.

    With `start` that includes what chooses the weights of a net that starts sparse.
    """
    if options.granularity == "channel":
        rows = [CHANNEL_SALIENCY[options.saliency].needs]
        rows += [CHANNEL_GROWTH[options.regrow].needs] if options.regrow != "none" else []
        rows.append(_budget(options.channels.budget))
        return Needs.of(rows)
    rows = [SALIENCY[options.saliency].needs]
    rows += [GROWTH[options.regrow].needs] if options.regrow != "none" else []
    if start and options.start_saliency is not None:
        rows.append(SALIENCY[options.start_saliency].needs)
    by_gradient = options.regrow in BY_CRITICALITY and options.criticality.weight == "post*grad"
    rows += [Needs(gradient=by_gradient), _budget(options.budget)]
    return Needs.of(rows)


def _budget(name: str) -> Needs:
    # Samples are counted where potentials are observed.
    return Needs(potentials=True, reads=True) if name == "synops" else NOTHING

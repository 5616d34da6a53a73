"""What must be observed for the events of a pruner."""

from spikeprune.pruning.criteria.inputs import Need
from spikeprune.pruning.criteria.of_weights import BY_CRITICALITY, SALIENCY
from spikeprune.pruning.option_types import OPERATIONS
from spikeprune.pruning.options import CRITERIA, PruneOptions


def needs_of(options: PruneOptions, *, start: bool = False) -> frozenset[Need]:
    """Return the observations that criteria and budget need; `start`: at a sparse start, too."""
    saliencies, regrowths = CRITERIA[options.granularity]
    needs: set[Need] = {*saliencies[options.saliency].needs}
    if options.regrow != "none":
        needs |= regrowths[options.regrow].needs
    if start and options.start_saliency is not None:
        needs |= SALIENCY[options.start_saliency].needs
    if options.regrow in BY_CRITICALITY and options.criticality.weight == "post*grad":
        needs.add("gradient")
    if options.latent == "gates" and options.gate_cost == "operands":
        needs |= {"potentials", "operands"}
    if set(options.units) & set(OPERATIONS):
        needs |= {"potentials", "operands"}  # the observer of potentials counts the samples
    return frozenset(needs)

"""Sentences on what of a net is not mapped, not pruned or not counted."""

from collections.abc import Iterable

_SHOWN = 6  # names in a sentence


def no_neuron() -> str:
    """Return the note on a net in which no neuron was found."""
    return (
        "no spiking neuron was found whose potential can be observed: weights are pruned by "
        "saliency alone, and operands that no found neuron emits count as analog (declare neurons "
        "by spikeprune.extend.spikes)"
    )


def by_saliency_alone(layers: Iterable[str], why: str) -> str:
    """Return the note on layers whose neurons take no part in regrowth."""
    return f"pruned by saliency alone, without regrowth by neuron: {_listed(layers)}; {why}"


def never_called(layers: Iterable[str]) -> str:
    """Return the note on layers that the forward leaves out."""
    return f"not pruned: {_listed(layers)}, which the forward does not call as a module"


def weights_not_their_own(layers: Iterable[str]) -> str:
    """Return the note on layers whose weight is computed, or shared."""
    return (
        f"not pruned: {_listed(layers)}; a weight that is computed in the forward, or that two "
        "layers share, would not stay pruned (make a parametrisation permanent, untie)"
    )


def hidden_in_eval_mode(modules: Iterable[str]) -> str:
    """Return the note on neurons that are seen in training mode only; '' is the net itself."""
    names = sorted(module or "the net" for module in modules)
    return (
        f"not counted in firing rates: the neurons of {_listed(names)}, "
        "which call no spike function in eval mode; score them with score_on='train-batch'"
    )


def not_prunable(products: Iterable[str]) -> str:
    """Return the note on products that no layer computes."""
    return (
        "not prunable, and no part of a budget: products outside of convolution and linear layers "
        f"({_listed(products)}); evaluations count them, or name them"
    )


def not_counted(operators: Iterable[str]) -> str:
    """Return the note on operators whose operations no evaluation counts."""
    return f"not counted in MACs, synaptic operations and energy: {_listed(operators)}"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    shown = ", ".join(every[:_SHOWN])
    return f"{shown} and {len(every) - _SHOWN} more" if len(every) > _SHOWN else shown

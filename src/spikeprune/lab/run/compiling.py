"""Whether a run compiles its neurons: a rule of its plan, never of measured time."""

from typing import TYPE_CHECKING

from spikeprune.adapters.speedups import cannot_compile

if TYPE_CHECKING:
    from spikeprune.lab.run.session import Session


COMPILE_FROM = 10**10
"""Neuron updates of a training from which `compile: auto` compiles. The compiled body saves a few
nanoseconds per update, and compiling takes seconds to tens of seconds."""


def neuron_updates(session: "Session") -> int:
    """Return how many potentials training charges: samples x T x epochs x neurons.

    Neurons are counted as outputs of the layers that feed them. The epochs are those of the dense
    net, so that all runs that share one come to the same.
    """
    config, layers = session.config, session.wiring.layers.values()
    neurons = sum(layer.output_shape.numel() for layer in layers if layer.feeds)
    samples = session.steps_per_epoch * config.batch_size
    epochs = config.dense_epochs or config.epochs.total
    return samples * config.time_steps * epochs * neurons


def wanted(session: "Session") -> bool:
    """Return whether compiled neurons are asked for or worth it; they serve the CPU only."""
    config = session.config
    if not config.fuse or config.compile == "off" or session.device.type != "cpu":
        return False
    return config.compile == "on" or neuron_updates(session) >= COMPILE_FROM


def notice(session: "Session") -> str:
    """Return what to tell before the first step; empty where there is nothing."""
    if session.compiled:
        return (
            "neurons are compiled in the first steps: tens of seconds on a machine that has not "
            "done so before, else seconds"
        )
    if wanted(session):
        return f"fused neurons are not compiled: {cannot_compile()}"
    if session.config.compile == "on":
        return "compile is on, but kernels are compiled for the CPU only"
    return ""

"""Definitions of the report's terms, and the sources to cite for a run."""

from spikeprune.errors import ConfigError
from spikeprune.lab.report.run_record import RunRecord
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import resolve
from spikeprune.lab.settings.yaml_values import parse_yaml
from spikeprune.pruning.methods import sources_of
from spikeprune.pruning.sources import SOURCES

_TERMS = {
    "Density, sparsity": (
        "Density is the number of live weights over the number of prunable weights (convolution "
        "and linear) of the original net, also after channels were cut. Sparsity is 1 − density."
    ),
    "Criticality": (
        "The surrogate derivative of a channel's neurons at the charged membrane potential minus "
        "the threshold, scaled to 1 at the threshold; mean over time, maximum over the map, mean "
        "over samples, unless the configuration says otherwise."
    ),
    "Kept, regrown": (
        "An event keeps the weights (or channels) with the highest saliency and brings back those "
        "with the highest regrowth score of all others."
    ),
    "Survival": (
        "Share of an event's regrown weights that are in the kept set of the next event. Being "
        "regrown again does not count. Undefined for the last event."
    ),
    "SynOps": (
        "Synaptic operations, counted exactly: every non-zero input times every non-zero weight "
        "that reads it, borders included, bias left out. They are accumulations (ACs) in layers "
        "whose operand is spikes by the net's graph, multiply-accumulations (MACs) in all others. "
        "Mean per sample of the test set, sum over all T time steps."
    ),
    "Energy": (
        "A model, not a measurement: 4.6 pJ per MAC and 0.9 pJ per AC (45 nm, fp32), memory "
        "traffic left out."
    ),
    "Training FLOPs": (
        "2 × MACs × T × batch × 3 (forward, gradient of the input, gradient of the weights) over "
        "all steps, plus scoring passes and forward passes of a teacher. The sparse-aware figure "
        "scales the first two by the density; dense kernels do not save them."
    ),
    "Latency": (
        "Wall time of one forward pass of the net as it is stored, warmed up, median. Zeros in a "
        "dense tensor save no time; cut channels do."
    ),
}
DEFINITIONS = tuple(_TERMS.items())


def citations(record: RunRecord) -> list[tuple[str, str]]:
    """Return `(text, address)` of a run's sources: paper, method, counting, libraries."""
    keys = ["criticality", *_method_sources(record)]
    if record.unit == "channels":
        keys.append("slimming")
    keys += ["neurobench", "energy"]
    if "spikingjelly" in (record.metrics.get("versions") or {}):
        keys.append("spikingjelly")
    if record.metrics.get("cut"):
        keys.append("depgraph")
    return [(SOURCES[key].text, SOURCES[key].url) for key in dict.fromkeys(keys)]


def _method_sources(record: RunRecord) -> tuple[str, ...]:
    """Return the sources of the method and of the parts that the run's options replace."""
    values = {"method": str(record.metrics["method"]).lower(), "data": "", "model": ""}
    values["granularity"] = record.unit.removesuffix("s")
    parts = ("regrow", "saliency", "allocation", "schedule", "fraction_schedule")
    try:
        written = parse_yaml(record.config, "")
        values |= {name: written[name] for name in parts if written.get(name) is not None}
        return sources_of(resolve(RunConfig.from_dict(values)))
    except ConfigError:  # this version does not know the method, or a part of it
        return ()

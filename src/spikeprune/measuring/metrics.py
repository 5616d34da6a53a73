"""Results of an evaluation: frozen, with the keys of metrics.json."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LayerMetrics:
    """One convolution or linear layer; operations are per sample over all T."""

    name: str
    shape: tuple[int, ...]  # of the current weight
    density: float  # live / prunable weights of the original layer
    firing_rate: float | None  # spikes per neuron and step of the neurons that it feeds
    synops: float  # ACs where `operand` is 'spikes', MACs where it is 'analog'
    operand: str  # 'spikes' or 'analog', as the graph says
    # For analog operands made of spikes (average pool, additive join), the operations with each
    # operand counted by its size; else None.
    value_weighted_acs: float | None
    dead_channels: int  # output channels whose incoming weights are all 0
    silent_neurons: float | None = None  # share of the neurons that it feeds that never fired


@dataclass(frozen=True)
class ProductMetrics:
    """A product that no layer module computes; operations are per sample over all T."""

    name: str  # path of the module whose code computes it, and the operation
    operation: str  # 'matmul' or 'convolution'
    dense_macs: int
    synops: float  # terms whose two factors are not 0
    operand: str  # 'spikes' where a factor is spikes (synops are ACs), else 'analog' (MACs)


@dataclass(frozen=True)
class Metrics:
    """Results of `evaluate`; the fields are the keys of `dense` and `pruned` in metrics.json.

    Accuracies, densities and rates are fractions in [0, 1]; operations and energy are per sample
    over all T (method, section 6).

    Attributes:
        per_class_accuracy: accuracy of each class; None for a class without samples.
        parameters: number of parameters, with biases and norms.
        density: live / prunable weights of the original net.
        dense_macs_per_sample: zeros and padding included, layers as often as they were run.
        effective_macs_per_sample: synaptic operations on analog operands.
        effective_acs_per_sample: synaptic operations on spikes.
        energy_nj_per_sample: modelled, see `science.cost.energy_nj`.
        firing_rate: spikes per neuron and step, over all neurons.
        latency_ms: of batches of 1 and 32, `{"b1", "b32"}`; None when it was not measured.
        first_layer_macs_per_sample: effective MACs of the layers ahead of every neuron, if run
            once (`static`; None for recordings) and if run at `every_step`. The totals count the
            layers as they were run.
        validation_accuracy: filled in by the caller (`dataclasses.replace`), as the next one is.
        validation_synops_per_sample: synaptic operations on the validation set, to choose by.
        products: what no layer module computes (attention, functional layers); part of all totals,
            but not of `density` and `first_layer_macs_per_sample`. Left out of `to_dict` where
            there are none.
        silent_neurons: share of all neurons, by position, that never fired on the data; None
            without neurons.
        notes: sentences on what the figures do not contain or may count as another kind; left out
            of `to_dict` where there are none, as warnings are.
        warnings: signs that the net or a part of it is dead, see `science.health.warnings_of`.
    """

    test_accuracy: float
    per_class_accuracy: tuple[float | None, ...]
    parameters: int
    nonzero_parameters: int
    density: float
    dense_macs_per_sample: int
    effective_macs_per_sample: float
    effective_acs_per_sample: float
    synops_per_sample: float
    energy_nj_per_sample: float
    firing_rate: float
    latency_ms: dict[str, float] | None
    latency_threads: int
    first_layer_macs_per_sample: dict[str, float | None]
    layers: tuple[LayerMetrics, ...]
    validation_accuracy: float | None = None
    validation_synops_per_sample: float | None = None
    products: tuple[ProductMetrics, ...] = ()
    silent_neurons: float | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers, as JSON takes them."""
        plain = asdict(self)
        plain["per_class_accuracy"] = list(self.per_class_accuracy)
        for key in ("products", "notes", "warnings"):
            plain[key] = list(plain[key])
            if not plain[key]:
                del plain[key]
        plain["layers"] = [{**row, "shape": list(row["shape"])} for row in plain["layers"]]
        return plain

"""A test of the paper's explanation: spike entropy against criticality and the firing rate."""

from collections.abc import Sequence

from spikeprune.lab.analysis.net_measures import KINDS
from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.report.html import TableCell
from spikeprune.lab.reproduce.experiment import ExperimentInputs, ExperimentResult
from spikeprune.lab.reproduce.net_measures import Measurements, entropy_of
from spikeprune.lab.reproduce.output.charts import Chart, Series
from spikeprune.lab.reproduce.required_runs import RequiredRun, required_run
from spikeprune.lab.reproduce.run_tables import mean_of, summary_cell
from spikeprune.lab.reproduce.scales import Scale

_QUANTITIES = {
    "criticality": "criticality",
    "rate": "firing rate (the rival)",
    "criticality_given_rate": "criticality, given the rate",
}
_NETS = ("untrained", "dense", "pruned")


def entropy_runs(scale: Scale) -> list[RequiredRun]:
    """Return the run whose nets are measured: weight pruning with regrowth by criticality."""
    return [required_run(scale, scale.weights[0], "criticality", scale.target)]


def entropy(inputs: ExperimentInputs) -> ExperimentResult:
    """Return rank correlations of spike entropy, of all nets of the run, by layer."""
    (run,) = entropy_runs(inputs.scale)
    by_seed = {cell.seed: entropy_of(inputs, cell) for cell in inputs.row(run).cells}
    nets = {net: [found[net] for found in by_seed.values()] for net in _NETS}
    tables = (_overall(nets), *(_by_layer(net, seeds) for net, seeds in nets.items()))
    charts = tuple(_chart(net, seeds) for net, seeds in nets.items())
    notes = (
        "Spearman's rank correlation over the channels of a layer, in eval mode on clean training "
        "images. Entropy by channel is a function of the rate alone: while no rate exceeds 1/2 its "
        "correlation with the rate is 1 and nothing is left to explain given the rate (a dash).",
        "Few channels make noisy correlations: with 16, one in twenty of two unrelated quantities "
        "exceeds 0.5 in size.",
        "Untrained: from the seed, with BatchNorm statistics of the data.",
    )
    numbers = {"by_seed": {str(seed): found for seed, found in by_seed.items()}}
    return ExperimentResult(tables, charts, notes, numbers)


def _overall(nets: dict[str, list[Measurements]]) -> Table:
    lines = []
    for net, seeds in nets.items():
        for kind in KINDS:
            found = [one["mean"][kind] for one in seeds]
            means = [mean_of(one[quantity]["mean"] for one in found) for quantity in _QUANTITIES]
            cells = (summary_cell(mean, ".2f") for mean in means)
            lines.append((TableCell(net), TableCell(f"by {kind}"), *cells))
    titles = ("net", "entropy", *(f"with {name}" for name in _QUANTITIES.values()))
    return Table("Rank correlation of spike entropy, mean over layers", titles, tuple(lines))


def _by_layer(net: str, seeds: Sequence[Measurements]) -> Table:
    lines = []
    for number, layer in enumerate(seeds[0]["layers"]):
        same = [found["layers"][number] for found in seeds]
        line = [
            TableCell(layer["layer"]),
            summary_cell(mean_of(one["channels"] for one in same), ".0f"),
            summary_cell(mean_of(one["firing_rate"] for one in same)),
        ]
        for kind in KINDS:
            means = [mean_of(one[kind][quantity] for one in same) for quantity in _QUANTITIES]
            line += [summary_cell(mean, ".2f") for mean in means]
        lines.append(tuple(line))
    heads = [f"{word}, by {kind}" for kind in KINDS for word in _QUANTITIES.values()]
    return Table(f"By layer, {net} net", ("layer", "channels", "rate", *heads), tuple(lines))


def _chart(net: str, seeds: Sequence[Measurements]) -> Chart:
    names = tuple(layer["layer"] for layer in seeds[0]["layers"])

    def correlations(quantity: str) -> list[Summary]:
        by_layer = zip(*(found["layers"] for found in seeds), strict=True)
        return [mean_of(layer["position"][quantity] for layer in same) for same in by_layer]

    return Chart(
        f"entropy-{net}",
        f"Entropy by position, {net} net",
        "Rank correlation over the channels of a layer of mean spike entropy by position with "
        "criticality, with the firing rate, and with criticality while the ranks of the rate are "
        "held fixed; mean over the seeds.",
        "Spearman's ρ",
        tuple(Series.of(f"with {word}", correlations(key)) for key, word in _QUANTITIES.items()),
        names=names,
    )

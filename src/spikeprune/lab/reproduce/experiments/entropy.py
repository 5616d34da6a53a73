"""The paper's explanation put to the test: spike entropy, criticality, and the firing rate."""

from collections.abc import Sequence

from spikeprune.lab.analysis.net_measures import KINDS
from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.report.html import TableCell as Shown
from spikeprune.lab.report.run_record import Row as Values
from spikeprune.lab.reproduce.experiment import Section, Study, Table
from spikeprune.lab.reproduce.net_measures import entropy_of
from spikeprune.lab.reproduce.output.charts import Chart, Series
from spikeprune.lab.reproduce.required_runs import Want, want
from spikeprune.lab.reproduce.run_tables import mean_of, worded
from spikeprune.lab.reproduce.scales import Scale

_QUANTITIES = {
    "criticality": "criticality",
    "rate": "firing rate (the rival)",
    "criticality_given_rate": "criticality, given the rate",
}
_NETS = ("untrained", "dense", "pruned")


def wants_entropy(scale: Scale) -> list[Want]:
    """Return the run whose nets are looked at: weights by criticality."""
    return [want(scale, scale.weights[0], "criticality", scale.target)]


def entropy(study: Study) -> Section:
    """Return rank correlations of spike entropy before and after training, by layer."""
    (wanted,) = wants_entropy(study.scale)
    row = study.row(wanted)
    found = {cell.seed: entropy_of(study, cell) for cell in row.cells}
    seeds = list(found.values())
    charts = tuple(_chart(name, seeds) for name in _NETS)
    tables = (_overall(seeds), *(_by_layer(name, seeds) for name in _NETS))
    notes = (
        "Spearman's rank correlation over the channels of a layer, in eval mode on clean training "
        "images. Entropy by channel is a function of the rate alone: while no rate exceeds 1/2 its "
        "correlation with the rate is 1 and nothing is left to explain given the rate (a dash).",
        "Few channels make noisy correlations: with 16, one in twenty of two unrelated quantities "
        "exceeds 0.5 in size.",
        "Untrained: from the seed, with BatchNorm statistics of the data.",
    )
    return Section(tables, charts, notes, {"by_seed": {str(s): one for s, one in found.items()}})


def _overall(seeds: Sequence[Values]) -> Table:
    lines = []
    for net in _NETS:
        for kind in KINDS:
            means = [
                mean_of(one[net]["entropy_mean"][kind][key] for one in map(_with_means, seeds))
                for key in _QUANTITIES
            ]
            lines.append((Shown(net), Shown(f"by {kind}"), *(worded(m, ".2f") for m in means)))
    titles = ("net", "entropy", *(f"with {name}" for name in _QUANTITIES.values()))
    return Table("Rank correlation of spike entropy, mean over layers", titles, tuple(lines))


def _with_means(found: Values) -> Values:
    return {
        net: {
            "entropy_mean": {
                kind: {key: one["mean"][kind][key]["mean"] for key in _QUANTITIES} for kind in KINDS
            }
        }
        for net, one in found.items()
    }


def _layer(seeds: Sequence[Values], net: str, number: int, path: tuple[str, str]) -> Summary:
    return mean_of(one[net]["layers"][number][path[0]][path[1]] for one in seeds)


def _names(seeds: Sequence[Values], net: str) -> list[str]:
    return [layer["layer"] for layer in seeds[0][net]["layers"]]


def _by_layer(net: str, seeds: Sequence[Values]) -> Table:
    lines = []
    for number, name in enumerate(_names(seeds, net)):
        same = [one[net]["layers"][number] for one in seeds]
        cells = [
            worded(_layer(seeds, net, number, (kind, key)), ".2f")
            for kind in KINDS
            for key in _QUANTITIES
        ]
        channels = mean_of(layer["channels"] for layer in same)
        rate = mean_of(layer["firing_rate"] for layer in same)
        lines.append((Shown(name), worded(channels, ".0f"), worded(rate), *cells))
    heads = [f"{word}, by {kind}" for kind in KINDS for word in _QUANTITIES.values()]
    return Table(f"By layer, {net} net", ("layer", "channels", "rate", *heads), tuple(lines))


def _chart(net: str, seeds: Sequence[Values]) -> Chart:
    names = _names(seeds, net)
    series = []
    for key, word in _QUANTITIES.items():
        found = [_layer(seeds, net, number, ("position", key)) for number in range(len(names))]
        means, stds = tuple(one.mean for one in found), tuple(one.std for one in found)
        series.append(Series(f"with {word}", means, stds))
    return Chart(
        f"entropy-{net}",
        f"Entropy by position, {net} net",
        "Rank correlation over the channels of a layer of mean spike entropy by position with "
        "criticality, with the firing rate, and with criticality while the ranks of the rate are "
        "held fixed; mean over the seeds.",
        "Spearman's ρ",
        tuple(series),
        names=tuple(names),
    )

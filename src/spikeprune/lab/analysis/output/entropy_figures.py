"""Figures of spike entropy: its correlations by layer, and its values by channel."""

from collections.abc import Mapping
from typing import Any

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.report.number_words import amount
from spikeprune.lab.report.plotly_parts import Figure, Spec, dots, layout, safe, scatter, strips

_MANY_POINTS = 4000
_SYMBOLS = 8
_MARKS = (
    ("position", "criticality", "criticality", "@pruned", "circle"),
    ("channel", "criticality", "criticality, entropy by channel", "@pruned", "circle-open"),
    ("position", "rate", "the firing rate", "@dense", "square-open"),
    ("position", "criticality_given_rate", "criticality, given the rate", "@regrown", "diamond"),
)
"""Kind of entropy, its correlation, the partner in words, colour, symbol."""


def entropy_figures(found: Findings, net: str, prefix: str) -> tuple[Figure, Figure]:
    """Return the correlations by layer, and entropy over criticality channel by channel."""
    return _correlations(found, net, prefix), _scatter(found, net, prefix)


def _correlations(found: Findings, net: str, prefix: str) -> Figure:
    names = [row["layer"] for row in found["layers"]]
    traces, means = [], []
    for kind, key, partner, color, symbol in _MARKS:
        words = f"with {partner}"
        means.append(f"{words} {_mean(found['mean'][kind][key])}")
        values = [row[kind][key] for row in found["layers"]]
        hover = f"{words}: %{{x:.3f}}"
        traces.append(dots(values, words, color, symbol, hover=hover, names=names))
    spec = strips(names, traces, title="rank correlation", each=26)
    spec["layout"]["xaxis"] |= {"range": [-1.08, 1.08], "zerolinecolor": "@muted"}
    spec["layout"]["height"] = max(spec["layout"]["height"], 330)
    return Figure(
        f"{prefix}-{net}-rho",
        f"Correlations of entropy in the {net} net",
        "Spearman rank correlation of spike entropy over a layer's channels; entropy at each "
        "position, averaged over the positions, unless said otherwise. The correlation of entropy "
        "by channel with the rate is 1 while no rate exceeds one half. No mark: undefined.",
        f"Mean (number of layers): {', '.join(means)}.",
        spec,
    )


def _mean(mean: Mapping[str, Any]) -> str:
    if mean["mean"] is None:
        return "undefined in every layer"
    return f"{mean['mean']:+.2f} ({mean['layers']})".replace("-", "−")


def _scatter(found: Findings, net: str, prefix: str) -> Figure:
    caption = (
        "A dot is a channel: entropy by position, in bits, over criticality. Colour: firing rate."
    )
    legend = len(found["layers"]) <= _SYMBOLS
    caption += " Symbol: layer." if legend else " The hover text names the layer."
    total = sum(row["channels"] for row in found["layers"])
    step = max(1, -(-total // _MANY_POINTS))
    if step > 1:
        caption += f" One in {step} of {amount(total)} channels is drawn."
    traces = [
        _channels(name, {key: one[::step] for key, one in values.items()}, number % _SYMBOLS)
        for number, (name, values) in enumerate(found["channels"].items())
    ]
    bar = {"thickness": 10, "outlinewidth": 0, "title": {"text": "rate", "side": "right"}}
    scale = [[part / 4, f"@heat-{part}"] for part in range(5)]
    spec = layout(
        380,
        xaxis={"title": {"text": "criticality"}},
        yaxis={"title": {"text": "bits"}},
        showlegend=legend,
        coloraxis={"colorscale": scale, "cmin": 0, "colorbar": bar},
    )
    return Figure(
        f"{prefix}-{net}-scatter",
        f"Channels of the {net} net",
        caption,
        f"{amount(total)} channels in {len(traces)} layers.",
        {"data": traces, "layout": spec},
    )


def _channels(layer: str, values: Mapping[str, list[float]], symbol: int) -> Spec:
    look = {"size": 7, "symbol": symbol, "line": {"width": 0.5, "color": "@muted"}}
    return scatter(
        "markers",
        values["criticality"],
        values["entropy_position"],
        name=safe(layer),
        marker={**look, "color": values["rate"], "coloraxis": "coloraxis"},
        hovertemplate=f"{safe(layer)}<br>criticality %{{x:.3f}}<br>"
        "%{y:.3f} bits, firing rate %{marker.color:.3f}<extra></extra>",
    )

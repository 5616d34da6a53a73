"""Figures of entropy: what it goes with, layer by layer and channel by channel."""

from spikeprune.lab.analysis.output.shapes import dots
from spikeprune.lab.report.number_words import amount
from spikeprune.lab.report.plotly_parts import Figure, Spec, layout, safe, strips
from spikeprune.lab.report.run_record import Row

_MANY_POINTS = 4000
_SYMBOLS = 8
_GIVEN = "criticality_given_rate"
_MARKS = (
    ("position", "criticality", "with criticality", "@pruned", "circle"),
    ("channel", "criticality", "the same, entropy by channel", "@pruned", "circle-open"),
    ("position", "rate", "with the firing rate", "@dense", "square-open"),
    ("position", _GIVEN, "with criticality, given the rate", "@regrown", "diamond"),
)


def entropy_figures(found: Row, net: str, prefix: str) -> tuple[Figure, Figure]:
    """Return the correlations by layer, and entropy over criticality channel by channel.

    Args:
        found: what `nets.entropy` measured.
        net: name of the net.
        prefix: of the keys.
    """
    return _correlations(found, net, prefix), _scatter(found, net, prefix)


def _correlations(found: Row, net: str, prefix: str) -> Figure:
    head = (f"{prefix}-{net}-rho", f"What goes with entropy in the {net} net")
    caption = (
        "Spearman rank correlation of spike entropy over a layer's channels; entropy at each "
        "position, averaged over the positions, unless said otherwise. Entropy by channel goes "
        "with the rate by 1 while no rate exceeds one half. No mark: undefined."
    )
    names = [row["layer"] for row in found["layers"]]
    traces = []
    for kind, key, words, color, symbol in _MARKS:
        values = [row[kind][key] for row in found["layers"]]
        hover = f"%{{customdata}}<br>{words}: %{{x:.3f}}"
        traces.append(dots(values, words, (color, symbol), hover=hover, names=names))
    spec = strips(names, traces, title="rank correlation", each=26)
    spec["layout"]["xaxis"] |= {"range": [-1.08, 1.08], "zerolinecolor": "@muted"}
    spec["layout"]["height"] = max(spec["layout"]["height"], 330)
    summary = "Mean (of how many layers): " + ", ".join(
        f"{words} {_number(found['mean'][kind][key])}" for kind, key, words, *_ in _MARKS
    )
    return Figure(*head, caption, f"{summary}.", spec)


def _number(mean: Row) -> str:
    if mean["mean"] is None:
        return "undefined in every layer"
    return f"{mean['mean']:+.2f} ({mean['layers']})".replace("-", "−")


def _scatter(found: Row, net: str, prefix: str) -> Figure:
    head = (f"{prefix}-{net}-scatter", f"Channels of the {net} net")
    caption = (
        "A dot is a channel: entropy by position, in bits, over criticality. Colour: firing rate."
    )
    legend = len(found["layers"]) <= _SYMBOLS
    caption += " A symbol is a layer." if legend else " Hovering tells the layer."
    total = sum(row["channels"] for row in found["layers"])
    step = max(1, -(-total // _MANY_POINTS))
    if step > 1:
        caption += f" Every {step}th of {amount(total)} channels is drawn."
    traces = [
        _channels(name, {key: one[::step] for key, one in values.items()}, number % _SYMBOLS)
        for number, (name, values) in enumerate(found["channels"].items())
    ]
    axes = {"xaxis": {"title": {"text": "criticality"}}, "yaxis": {"title": {"text": "bits"}}}
    bar = {"thickness": 10, "outlinewidth": 0, "title": {"text": "rate", "side": "right"}}
    scale = [[part / 4, f"@heat-{part}"] for part in range(5)]
    spec = {
        "data": traces,
        "layout": layout(
            380,
            **axes,
            showlegend=legend,
            coloraxis={"colorscale": scale, "cmin": 0, "colorbar": bar},
        ),
    }
    return Figure(*head, caption, f"{amount(total)} channels in {len(traces)} layers.", spec)


def _channels(layer: str, values: Row, symbol: int) -> Spec:
    """Return the dots of one layer's channels."""
    marker: Spec = {
        "size": 7,
        "symbol": symbol,
        "color": values["rate"],
        "coloraxis": "coloraxis",
        "line": {"width": 0.5, "color": "@muted"},
    }
    return {
        "type": "scatter",
        "mode": "markers",
        "x": values["criticality"],
        "y": values["entropy_position"],
        "name": safe(layer),
        "marker": marker,
        "hovertemplate": f"{safe(layer)}<br>criticality %{{x:.3f}}<br>"
        "%{y:.3f} bits, firing rate %{marker.color:.3f}<extra></extra>",
    }

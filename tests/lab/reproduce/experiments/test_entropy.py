import pytest

from spikeprune.lab.reproduce.experiments import entropy as entropies


def found(_, cell):
    """Two layers; the second's correlations are 0.2 higher, and the mean lies between."""

    def correlations(shift):
        criticality = 0.2 + 0.1 * cell.seed + shift
        return {"criticality": criticality, "rate": 1.0, "criticality_given_rate": None}

    layers = [
        {
            "layer": name,
            "channels": 8,
            "firing_rate": 0.25,
            "channel": correlations(shift),
            "position": correlations(shift),
        }
        for name, shift in (("spike1", 0.0), ("spike2", 0.2))
    ]
    mean = {key: {"mean": value, "layers": 2} for key, value in correlations(0.1).items()}
    net = {"layers": layers, "mean": {"channel": mean, "position": mean}}
    return dict.fromkeys(("untrained", "dense", "pruned"), net)


def test_entropy_by_net_layer_and_rival(measured, texts, monkeypatch):
    monkeypatch.setattr(entropies, "entropy_of", found)
    result = measured("entropy").result
    overall, *layers = result.tables
    words = texts(overall, "net", "with criticality", "with firing rate (the rival)")
    assert words[0] == ("untrained", "0.35\u00a0±\u00a00.07", "1.00\u00a0±\u00a00.00")
    assert texts(overall, "with criticality, given the rate")[0] == ("–",)
    assert [table.caption for table in layers] == [
        "By layer, untrained net",
        "By layer, dense net",
        "By layer, pruned net",
    ]
    assert texts(layers[0], "layer", "channels", "rate", "criticality, by position") == [
        ("spike1", "8\u00a0±\u00a00", "0.250\u00a0±\u00a00.000", "0.25\u00a0±\u00a00.07"),
        ("spike2", "8\u00a0±\u00a00", "0.250\u00a0±\u00a00.000", "0.45\u00a0±\u00a00.07"),
    ]
    assert [chart.names for chart in result.charts] == [("spike1", "spike2")] * 3
    assert [one.y[1] for one in result.charts[0].series] == [pytest.approx(0.45), 1.0, None]
    assert result.numbers["by_seed"].keys() == {"0", "1"}

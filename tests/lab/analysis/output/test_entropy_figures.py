from spikeprune.lab.analysis.output.entropy_figures import entropy_figures


def test_correlations_by_layer_have_a_mark_each(entropy):
    figure, _ = entropy_figures(entropy, "dense", "a")
    assert figure.key == "a-dense-rho"
    marks = {trace["name"]: trace for trace in figure.spec["data"]}
    assert marks["with criticality"]["x"] == [0.5, None]
    assert marks["with the firing rate"]["x"] == [0.9, 0.9]
    assert marks["with criticality, entropy by channel"]["x"] == [None, None]
    assert len({trace["marker"]["symbol"] for trace in marks.values()}) == 4
    assert "with criticality −0.50 (1)," in figure.summary
    assert "given the rate undefined in every layer." in figure.summary


def test_channels_of_each_layer_have_their_symbol(entropy):
    _, figure = entropy_figures(entropy, "dense", "a")
    first, second = figure.spec["data"]
    assert (first["x"], first["y"]) == ([0.1, 0.2], [0.5, 0.6])
    assert first["marker"]["color"] == [0.3, 0.4]
    assert (first["marker"]["symbol"], second["marker"]["symbol"]) == (0, 1)
    assert figure.summary == "3 channels in 2 layers."
    assert figure.spec["layout"]["showlegend"]


def test_of_many_channels_every_nth_is_drawn(entropy):
    entropy["layers"][0]["channels"] = 7999
    entropy["channels"]["a"] = {key: [0.5] * 7999 for key in entropy["channels"]["a"]}
    _, figure = entropy_figures(entropy, "dense", "a")
    assert "One in 2 of 8.00\u00a0k channels is drawn." in figure.caption
    assert len(figure.spec["data"][0]["x"]) == 4000


def test_many_layers_have_no_legend(entropy):
    entropy["layers"] *= 5
    _, figure = entropy_figures(entropy, "dense", "a")
    assert not figure.spec["layout"]["showlegend"]
    assert "hover text names the layer" in figure.caption

from spikeprune.lab.analysis.output.pair_figures import pair_figures


def test_a_figure_per_quantity_that_was_compared(pair):
    keys = [figure.key for figure in pair_figures(pair)]
    assert keys == ["pair-overlap", "pair-importance", "pair-classes", "pair-synops"]
    del pair["overlap"], pair["synops"]
    assert [figure.key for figure in pair_figures(pair)] == keys[1:3]
    assert pair_figures({"differences": [], "refused": []}) == []


def test_overlap_stands_beside_chance(pair):
    figure = pair_figures(pair)[0]
    shared, chance = figure.spec["data"]
    assert (shared["x"], chance["x"]) == ([40], [20])
    assert shared["customdata"] == [["a", 50, 25]]
    assert figure.summary.replace("\u00a0", " ") == "In all 40.0 %; by chance 20.0 %."


def test_importance_of_the_four_groups(pair):
    figure = pair_figures(pair)[1]
    (trace,) = figure.spec["data"]
    assert trace["x"] == [0.75, None, 0.5, 0.25]
    assert [channels for _, channels in trace["customdata"]] == [3, 0, 5, 5]
    assert figure.summary == "only A kept 3 channels, only B kept 0 channels."

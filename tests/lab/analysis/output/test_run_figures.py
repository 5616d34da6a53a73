from spikeprune.lab.analysis.output.run_figures import run_figures


def test_the_sections_of_a_run_and_their_figures(run):
    keys = {name: [one.key for one in figures] for name, figures in run_figures(run, "b").items()}
    assert keys == {
        "entropy": ["b-dense-rho", "b-dense-scatter"],
        "features": ["b-variance", "b-cosine"],
        "regrowth": ["b-regrowth"],
        "change": ["b-classes", "b-synops"],
    }


def test_without_nets_their_sections_are_empty(run):
    del run["nets"]
    figures = run_figures(run, "a")
    assert figures["entropy"] == figures["features"] == []


def test_regrowth_stands_beside_the_size_of_the_layers(run):
    (figure,) = run_figures(run, "a")["regrowth"]
    of_all, of_regrown = figure.spec["data"]
    assert (of_all["x"], of_regrown["x"]) == ([25, 75], [75, 25])
    assert of_regrown["customdata"] == [["a", 75], ["b", 25]]
    assert figure.summary.startswith("75\u00a0% of the regrown went to the first half")


def test_no_regrowth_has_a_reason(run):
    (figure,) = run_figures({**run, "regrowth": None}, "a")["regrowth"]
    assert figure.reason == "This run brought nothing back."

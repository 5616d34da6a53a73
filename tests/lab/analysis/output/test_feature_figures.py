from spikeprune.lab.analysis.output.feature_figures import feature_figures


def test_spread_is_per_neuron_and_cosine_as_measured(features):
    spread, cosine = feature_figures({"dense": {"features": features}}, "b")
    assert (spread.key, cosine.key) == ("b-variance", "b-cosine")
    train, test = spread.spec["data"]
    assert (train["x"], test["x"]) == ([0.1, 0.3], [0.3, None])
    assert (train["marker"]["symbol"], test["marker"]["symbol"]) == ("circle", "circle-open")
    assert spread.summary == "Mean over classes (training / test): dense 0.2 / 0.3."
    assert cosine.spec["data"][0]["x"] == [0.75, None]
    assert cosine.summary == "Mean over classes (cosine): dense 0.75."


def test_undefined_means_are_said(features):
    features["mean"] = {"variance_train": None, "variance_test": None, "cosine": None}
    spread, cosine = feature_figures({"pruned": {"features": features}}, "a")
    assert spread.summary.endswith("pruned undefined.")
    assert cosine.summary.endswith("pruned undefined.")


def test_only_the_first_of_many_classes_are_drawn(features):
    features["classes"] *= 16
    spread, cosine = feature_figures({"dense": {"features": features}}, "a")
    assert len(spread.spec["data"][0]["x"]) == len(cosine.spec["data"][0]["x"]) == 30
    assert "The first 30 of 32 classes" in cosine.caption


def test_nets_without_features_have_no_figure(entropy, features):
    assert feature_figures({"dense": {"entropy": entropy}}, "a") == []
    nets = {"untrained": {"entropy": entropy}, "dense": {"features": features}}
    assert len(feature_figures(nets, "a")[1].spec["data"]) == 1

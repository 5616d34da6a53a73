"""Findings made up by hand: one run with two nets, and a pair."""

import pytest


def correlations(entropy, criticality, rate, given):
    return {
        "entropy": entropy,
        "criticality": criticality,
        "rate": rate,
        "criticality_given_rate": given,
    }


def mean(value, layers):
    return {"mean": value, "layers": layers}


@pytest.fixture
def entropy():
    """Two layers, `a` of two channels and `b` of one, where nothing is defined by channel."""
    by_layer = [
        {
            "layer": name,
            "channels": channels,
            "firing_rate": 0.25,
            "rates_above_half": 0,
            "criticality": 0.5,
            "criticality_to_rate": None,
            "channel": correlations(0.8, None, None, None),
            "position": correlations(0.75, criticality, 0.9, None),
        }
        for name, channels, criticality in (("a", 2, 0.5), ("b", 1, None))
    ]
    means = {
        "channel": {
            "criticality": mean(None, 0),
            "rate": mean(None, 0),
            "criticality_given_rate": mean(None, 0),
        },
        "position": {
            "criticality": mean(-0.5, 1),
            "rate": mean(0.9, 2),
            "criticality_given_rate": mean(None, 0),
        },
    }
    values = {
        "a": {"criticality": [0.1, 0.2], "rate": [0.3, 0.4], "entropy_position": [0.5, 0.6]},
        "b": {"criticality": [0.7], "rate": [0.8], "entropy_position": [0.9]},
    }
    return {"samples": 20, "mean": means, "layers": by_layer, "channels": values}


@pytest.fixture
def features():
    """Two classes and ten features; the second class has no test sample."""
    return {
        "neurons": ["last"],
        "features": 10,
        "samples": {"train": 20, "test": 10},
        "mean": {"variance_train": 2.0, "variance_test": 3.0, "cosine": 0.75},
        "classes": [
            {"class": "x", "variance_train": 1.0, "variance_test": 3.0, "cosine": 0.75},
            {"class": "y", "variance_train": 3.0, "variance_test": None, "cosine": None},
        ],
    }


@pytest.fixture
def run(entropy, features):
    regrown = [
        {
            "layer": name,
            "depth": depth,
            "share_of_all": of_all,
            "share_of_regrown": of_regrown,
            "times_its_share": of_regrown / of_all,
            "regrown": round(100 * of_regrown),
            "survival": None,
        }
        for name, depth, of_all, of_regrown in (("a", 0.0, 0.25, 0.75), ("b", 1.0, 0.75, 0.25))
    ]
    return {
        "folder": "runs/first",
        "data": "Digits",
        "model": "vgg-small",
        "method": "criticality",
        "granularity": "weight",
        "sparsity": 0.9,
        "time_steps": 4,
        "seed": 0,
        "criticality": {"curve": "model", "value": "derivative", "space": "max", "time": "mean"},
        "test_accuracy": {"dense": 0.9, "pruned": 0.85},
        "regrowth": {
            "unit": "weights",
            "events": 2,
            "regrown": 100,
            "survival_mean": None,
            "first_half": {"layers": 1, "share_of_all": 0.25, "share_of_regrown": 0.75},
            "layers": regrown,
        },
        "classes": [change("x", 0.5, 0.75), change("y", 0.75, 0.5), change("z", None, 0.5)],
        "synops": [
            {"layer": "a", "before": 100, "after": 150, "ratio": 1.5},
            {"layer": "b", "before": 0, "after": 10, "ratio": None},
        ],
        "nets": {"dense": {"entropy": entropy, "features": features}},
        "refused": [{"quantity": "features of the pruned net", "reason": "no spikes"}],
    }


def change(name, before, after):
    points = None if before is None else 100 * (after - before)
    return {
        "class": name,
        "before_accuracy": before,
        "after_accuracy": after,
        "change_in_points": points,
    }


@pytest.fixture
def pair(run):
    overlap = {"a_density": 0.5, "b_density": 0.25, "overlap": 0.4, "by_chance": 0.2}
    return {
        "differences": [{"what": "seed", "a": 0, "b": 1}],
        "refused": [{"quantity": "something", "reason": "for a reason"}],
        "overlap": {"unit": "channels", "all": overlap, "layers": [{"layer": "a", **overlap}]},
        "importance": {
            "only_a": {"channels": 3, "importance": 0.75},
            "only_b": {"channels": 0, "importance": None},
            "both_in_a": {"channels": 5, "importance": 0.5},
            "both_in_b": {"channels": 5, "importance": 0.25},
            "layers": [],
        },
        "classes": run["classes"],
        "synops": run["synops"],
    }


@pytest.fixture
def found(run):
    return {"schema": 1, "spikeprune": "0.1.0", "runs": [run], "pair": None}


@pytest.fixture
def found_pair(found, run, pair):
    second = {**run, "folder": "runs/second/", "regrowth": None}
    return {**found, "runs": [run, second], "pair": pair}

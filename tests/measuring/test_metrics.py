"""Metrics as the plain values of metrics.json."""

import json

from spikeprune.measuring.metrics import LayerMetrics, Metrics

ROW = LayerMetrics(
    name="conv",
    shape=(4, 1, 3, 3),
    density=0.5,
    firing_rate=None,
    synops=12.0,
    operand="analog",
    value_weighted_acs=None,
    dead_channels=1,
)
METRICS = Metrics(
    test_accuracy=0.75,
    per_class_accuracy=(0.5, None, 1.0),
    parameters=40,
    nonzero_parameters=20,
    density=0.5,
    dense_macs_per_sample=100,
    effective_macs_per_sample=12.0,
    effective_acs_per_sample=0.0,
    synops_per_sample=12.0,
    energy_nj_per_sample=0.0552,
    firing_rate=0.1,
    latency_ms={"b1": 1.0, "b32": 2.0},
    latency_threads=1,
    first_layer_macs_per_sample={"static": 12.0, "every_step": 36.0},
    layers=(ROW,),
)


def test_the_dictionary_is_what_json_gives_back():
    plain = METRICS.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["per_class_accuracy"] == [0.5, None, 1.0]
    assert plain["latency_ms"] == {"b1": 1.0, "b32": 2.0}
    assert plain["validation_accuracy"] is None
    (row,) = plain["layers"]
    assert row["shape"] == [4, 1, 3, 3]
    assert LayerMetrics(**{**row, "shape": tuple(row["shape"])}) == ROW


def test_the_dictionary_holds_copies():
    METRICS.to_dict()["latency_ms"]["b1"] = 0.0
    assert METRICS.latency_ms["b1"] == 1.0

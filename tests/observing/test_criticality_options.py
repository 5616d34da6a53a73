"""Options of criticality: the paper's by default, and values that do not exist are refused."""

from dataclasses import asdict

import pytest

from spikeprune.errors import ConfigError
from spikeprune.observing.criticality_options import PAPER, CriticalityOptions


def test_the_defaults_are_the_paper_s():
    assert asdict(PAPER) == {
        "curve": "model",
        "value": "derivative",
        "space": "max",
        "time": "mean",
        "normalise": "none",
        "weight": "post",
        "batches": 1,
        "score_on": "train-batch",
    }
    assert CriticalityOptions() == PAPER


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"curve": "gauss"},
            r"^unknown criticality.curve 'gauss'; expected one of: atan, model, sigmoid, ta",
        ),
        ({"value": "integral"}, r"criticality.value 'integral'.*: derivative, primitive$"),
        ({"space": "sum"}, r"unknown criticality.space 'sum'.*: max, mean$"),
        ({"time": "sum"}, r"unknown criticality.time 'sum'.*: max, mean$"),
        ({"normalise": "net"}, r"unknown criticality.normalise 'net'.*: layer, none, synops$"),
        ({"weight": "pre"}, r"unknown criticality.weight 'pre'.*: post, post\*grad, post\*pre$"),
        ({"score_on": "test"}, r"criticality.score_on 'test'.*: train-batch, train-set$"),
        ({"batches": 0}, r"criticality.batches to be at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        CriticalityOptions(**options)

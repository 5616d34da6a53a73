import pytest

from spikeprune.lab.compare.numbers.run_facts import FACTS, at, facts_of, word
from spikeprune.lab.report.run_record import RunRecord

METRICS = {
    "data": {"label": "Digits", "samples": {"train": 10, "test": 5}},
    "model": {"name": "vgg9", "arguments": {"width": 0.5, "classes": 10, "bias": None}},
    "time_steps": 4,
    "cost": {"total_epochs": 7, "dense": None},
    "spikeprune": "1.2",
    "versions": {"code": "abc", "spikeprune": "1.2", "torch": "2.9"},
    "compiled": None,
    "identity": {"source": {"nets.py": "1a", "parts.py": "2b"}, "data": "3c"},
}
CONFIG = {
    "batch_size": 32,
    "augment": ["flip", "crop"],
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": None},
    "fuse": False,
}


def test_facts_in_words():
    found = facts_of(RunRecord(METRICS), CONFIG)
    assert found.keys() == FACTS.keys()
    known = {
        "data": "Digits",
        "samples": "10 train, 5 test",
        "net": "vgg9 (width 0.5)",
        "T": "4",
        "epochs": "7",
        "epochs of the dense net": "not known",
        "batch size": "32",
        "augmentation": "flip, crop",
        "optimiser": "name sgd, lr 0.1",
        "precision": "fp32",
        "fused neurons": "false",
        "teacher": "none",
        "processes": "1",
        "compiled neurons": "false",
        "code": "1.2+abc",
        "your code": "nets.py 1a, parts.py 2b",
        "content of the data": "3c",
        "libraries": "torch 2.9",
    }
    assert {name: found[name] for name in known} == known


def test_the_teacher_is_that_of_a_pruned_net():
    config = {"teacher": {"weight": 0.7, "temperature": 2.0, "per_step": False}}
    found = facts_of(RunRecord(METRICS | {"method": "magnitude"}), config)
    assert found["teacher"] == "weight 0.7, temperature 2.0"
    config["teacher"]["per_step"] = True
    found = facts_of(RunRecord(METRICS | {"method": "magnitude"}), config)
    assert found["teacher"] == "weight 0.7, temperature 2.0, per_step true"
    assert facts_of(RunRecord(METRICS | {"method": "dense"}), config)["teacher"] == "none"
    config["teacher"]["weight"] = 0.0
    assert facts_of(RunRecord(METRICS), config)["teacher"] == "none"


def test_a_path_that_ends_early_leads_to_none():
    assert at({"a": {"b": 1}}, "a", "b") == 1
    assert at({"a": None}, "a", "b") is None
    assert at(None, "a") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not known"),
        ("as it is", "as it is"),
        (True, "true"),
        ([1, "a"], '[1, "a"]'),
        (2, "2"),
    ],
)
def test_words_of_values(value, text):
    assert word(value) == text

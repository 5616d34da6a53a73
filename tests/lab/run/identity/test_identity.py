"""What a run is made of, and in words what changed."""

import json
from dataclasses import replace

import pytest
import torch

from spikeprune.data.digests import Digest
from spikeprune.data.fingerprint import Fingerprint
from spikeprune.lab.run.identity import identity as module
from spikeprune.lab.run.identity.identity import (
    Identity,
    changes,
    conditions,
    dense_name,
    identify,
)
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import RunConfig

DATA = Fingerprint({"classes": "a, b", "test inputs": Digest("x", 2, 2, "1111111122222222")})
OTHER = Fingerprint({"classes": "a, b", "test inputs": Digest("y", 2, 2, "1111111133333333")})
ONE = Identity({"net.py": "1" * 64}, {"rule.py": "2" * 64}, {"net.pt": "3" * 64}, "0.1.0+ab", DATA)


def words(new):
    return [change.words for change in changes(ONE, new)]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({}, []),
        ({"source": {"net.py": "x"}}, ["the source of net.py changed"]),
        (
            {"source": {"a.py": "1"}},
            ["the source of net.py is gone", "the source of a.py is new"],
        ),
        ({"extensions": {"rule.py": "x"}}, ["the source of rule.py changed"]),
        ({"weights": {"net.pt": "x"}}, ["the weights net.pt changed"]),
        ({"code": "0.2.0+cd"}, ["spikeprune's own code changed: 0.1.0+ab there, 0.2.0+cd now"]),
        ({"data": OTHER}, ["the test inputs changed: 1 of 2 samples"]),
        ({"data": None}, []),
    ],
)
def test_each_change_has_its_words(new, expected):
    assert words(replace(ONE, **new)) == expected


def test_the_dense_net_depends_on_all_but_the_extensions():
    assert [c.of_dense for c in changes(ONE, replace(ONE, extensions={}))] == [False]
    for other in ({"source": {}}, {"weights": {}}, {"code": ""}, {"data": OTHER}):
        changed = replace(ONE, **other)
        assert all(change.of_dense for change in changes(ONE, changed))
        assert dense_name("key", changed) != dense_name("key", ONE)
    assert dense_name("key", replace(ONE, extensions={})) == dense_name("key", ONE)
    assert dense_name("other", ONE) != dense_name("key", ONE)
    assert len(dense_name("key", ONE)) == 16


def test_a_file_that_becomes_part_of_the_net_counts_for_the_dense_net():
    moved = replace(ONE, source={"net.py": "1" * 64, "rule.py": "2" * 64}, extensions={})
    assert [(c.words, c.of_dense) for c in changes(ONE, moved)] == [
        ("the source of rule.py is new", True)
    ]


def test_plain_values_and_back():
    for one in (ONE, replace(ONE, data=None)):
        assert Identity.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert ONE.short["source"] == {"net.py": "1" * 12, "rule.py": "2" * 12}
    assert ONE.short["weights"] == {"net.pt": "3" * 12}
    assert ONE.short["data"] != replace(ONE, data=OTHER).short["data"]
    assert replace(ONE, data=None).short["data"] is None


def test_it_is_read_from_configuration_files_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net.py").write_text("import own_parts")
    (tmp_path / "own_parts.py").write_text("")
    (tmp_path / "own_rule.py").write_text("import own_parts")
    (tmp_path / "net.pt").write_bytes(b"1")
    values = {"data": "digits", "model": "own_net:net", "extensions": ["own_rule"]}
    config = RunConfig.from_dict(values | {"weights": "net.pt"})
    found = identify(config, Session(config).data)
    assert list(found.source) == ["own_net.py", "own_parts.py"]
    assert list(found.extensions) == ["own_rule.py"]
    assert found.weights == {
        "net.pt": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    }
    assert found.code.endswith(module.code_hash())
    assert {"training inputs", "test labels"} < set(found.data.parts)
    assert identify(config, None).data is None
    plain = RunConfig.from_dict({"data": "digits", "model": "vgg-small"})
    assert identify(plain, None) == Identity({}, {}, {}, found.code, None)


def test_adapters_of_a_user_s_own_are_source_of_the_dense_net(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_adapter.py").write_text("")
    adapter = type("Own", (), {"__module__": "own_adapter"})()
    monkeypatch.setattr(module, "adapters", lambda: (adapter,))
    config = RunConfig.from_dict({"data": "digits", "model": "vgg-small"})
    assert list(identify(config, None).source) == ["own_adapter.py"]


def test_conditions_name_what_rounds_differently():
    found = conditions()
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__

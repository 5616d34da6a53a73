import pytest
import torch
from safetensors.torch import load_file

from spikeprune.files import read_json
from spikeprune.inference.saved_net import load_masks
from spikeprune.lab.analysis.compare_pair import compare_pair, differing
from spikeprune.lab.analysis.opened_run import OpenedRun

LAYERS = {"stem.conv": "stem.norm", "body.conv2": "body.norm2", "body.conv3": "body.norm3"}


@pytest.fixture
def pair(finished):
    return lambda a, b: compare_pair(OpenedRun.at(finished[a]), OpenedRun.at(finished[b]))


def test_overlap_of_weight_masks(pair, finished):
    found = pair("weight", "random")["overlap"]
    one, two = load_masks(finished["weight"]), load_masks(finished["random"])
    common = union = chance = 0
    for row in found["layers"]:
        x, y = (masks[f"{row['layer']}.weight"] for masks in (one, two))
        both, either = int((x & y).sum()), int((x | y).sum())
        expected, alive = int(x.sum()) * int(y.sum()) / x.numel(), both + either
        assert row["overlap"] == both / either
        assert row["by_chance"] == pytest.approx(expected / (alive - expected))
        assert row["a_density"] == int(x.sum()) / x.numel()
        common, union, chance = common + both, union + either, chance + expected
    assert {f"{row['layer']}.weight" for row in found["layers"]} == set(one)
    assert found["all"]["overlap"] == common / union
    assert found["all"]["by_chance"] == pytest.approx(chance / (one.live + two.live - chance))
    assert found["unit"] == "weights"


def test_a_run_against_itself(pair):
    found = pair("weight", "weight")
    assert found["differences"] == []
    assert found["overlap"]["all"]["overlap"] == 1
    assert {row["change_in_points"] for row in found["classes"]} == {0}
    assert {row["ratio"] for row in found["synops"]} == {1}
    (refused,) = found["refused"]
    assert refused["reason"] == "it takes two runs that prune channels"


def gammas(folder):
    """|gamma| by layer at its place in the full net, and which channels live, from the files."""
    plan = read_json(folder / "plan.json")["cut"]["modules"]
    tensors = load_file(folder / "model.safetensors")
    found = {}
    for layer, norm in LAYERS.items():
        full = load_file(folder / "dense" / "model.safetensors")[f"{norm}.weight"]
        kept = plan.get(norm, {}).get("norm", list(range(len(full))))
        values, live = torch.zeros(len(full)), torch.zeros(len(full), dtype=torch.bool)
        values[kept], live[kept] = tensors[f"{norm}.weight"].abs(), True
        found[layer] = (values, live)
    return found


def test_importance_of_channels_that_one_run_kept(pair, finished):
    found = pair("channel", "channel-random")["importance"]
    a, b = (gammas(finished[name]) for name in ("channel", "channel-random"))
    scaled = []
    for side in (a, b):
        alive = torch.cat([values[live] for values, live in side.values()])
        low, high = alive.min(), alive.max()
        scaled.append(torch.cat([(values - low) / (high - low) for values, _ in side.values()]))
    one, two = (torch.cat([live for _, live in side.values()]) for side in (a, b))
    for key, side, chosen in (
        ("only_a", 0, one & ~two),
        ("only_b", 1, two & ~one),
        ("both_in_a", 0, one & two),
        ("both_in_b", 1, one & two),
    ):
        assert found[key]["channels"] == int(chosen.sum()) > 0
        assert found[key]["importance"] == pytest.approx(float(scaled[side][chosen].mean()))
    for row in found["layers"]:
        parts = [row[key] for key in ("only_a", "only_b", "both", "neither")]
        assert sum(parts) == len(a[row["layer"]][0])
        assert row["both"] == int((a[row["layer"]][1] & b[row["layer"]][1]).sum())


def test_overlap_of_channels(pair, finished):
    found = pair("channel", "channel-random")["overlap"]
    a, b = (gammas(finished[name]) for name in ("channel", "channel-random"))
    assert found["unit"] == "channels"
    for row in found["layers"]:
        x, y = a[row["layer"]][1], b[row["layer"]][1]
        assert row["overlap"] == int((x & y).sum()) / int((x | y).sum())


def test_without_differences_importance_has_no_one_sided_channels(pair):
    found = pair("channel", "channel")["importance"]
    assert found["only_a"] == {"channels": 0, "importance": None}
    assert found["both_in_a"] == found["both_in_b"]


@pytest.mark.parametrize(
    ("a", "b", "kept", "words"),
    [
        ("weight", "channel", {"classes", "synops"}, ["weights, the other channels"]),
        ("weight", "other", {"classes"}, ["widths [4, 8, 8] and [4, 6, 8]", "time_steps 3 and 2"]),
    ],
)
def test_what_makes_no_sense_is_refused_and_named(pair, a, b, kept, words):
    found = pair(a, b)
    assert found.keys() - {"differences", "refused"} == kept
    reasons = " ".join(row["reason"] for row in found["refused"])
    assert all(word in reasons for word in words)
    assert len(found["refused"]) == 4 - len(kept)


def test_other_data_are_refused(finished):
    a, b = OpenedRun.at(finished["weight"]), OpenedRun.at(finished["random"])
    b.record.metrics["data"]["label"] = "something else"
    found = compare_pair(a, b)
    assert {"classes", "synops"}.isdisjoint(found)
    assert "scikit-learn digits and something else" in found["refused"][-1]["reason"]
    named = {row["what"]: row["b"] for row in found["differences"]}
    assert named["data.label"] == "something else"


def test_differences_are_named(finished):
    rows = differing(OpenedRun.at(finished["weight"]), OpenedRun.at(finished["other"]))
    named = {row["what"]: (row["a"], row["b"]) for row in rows}
    assert named["time_steps"] == (3, 2)
    assert named["method"] == ("criticality-ranked", "magnitude")
    assert named["data.samples.train"] == (100, 80)
    assert named["model_args.widths"] == ([4, 8, 8], [4, 6, 8])
    assert not {"out", "threads", "device"} & named.keys()

import torch

from spikeprune.pruning.selection import Selection


def test_live_is_kept_or_regrown():
    kept = {"a": torch.tensor([True, False, False]), "b": torch.tensor([False])}
    regrown = {"a": torch.tensor([False, False, True]), "b": torch.tensor([False])}
    selection = Selection(kept, regrown)
    assert {n: m.tolist() for n, m in selection.live.items()} == {
        "a": [True, False, True],
        "b": [False],
    }
    assert selection.budget is None
    assert selection.kept["a"].tolist() == [True, False, False]  # stays what it was

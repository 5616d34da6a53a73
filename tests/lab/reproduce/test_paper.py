import pytest

from spikeprune.lab.reproduce.paper import (
    FINETUNING_EPOCHS,
    KNOWN,
    PRUNING_EPOCHS,
    ROUNDS,
    imp_epochs,
    saved,
)


def test_the_headline_follows_from_the_stated_epochs():
    assert {s: imp_epochs(r) for s, r in ROUNDS.items()} == {0.9813: 4220, 0.9569: 3380}
    assert round(100 * saved(PRUNING_EPOCHS, 4220), 2) == 95.26
    assert round(100 * saved(PRUNING_EPOCHS + FINETUNING_EPOCHS, 4220), 2) == 88.15
    assert saved(500, 300) == pytest.approx(-2 / 3)
    with pytest.raises(ValueError, match="reference"):
        saved(1, 0)


def test_the_known_table_agrees_with_the_rounds():
    epochs = {known.name: known.epochs for known in KNOWN}
    assert epochs["IMP"] == imp_epochs(ROUNDS[0.9569])
    assert epochs["this method"] == PRUNING_EPOCHS

"""What makes a sink one that folds potentials over time."""

from spikeprune.neurons.sinks import FoldingSink, TimeFold


class Sums:
    def __call__(self, potentials):
        self.potentials = potentials

    def fold(self, steps):
        return TimeFold(abs, "mean", lambda total, fired: None) if steps > 1 else None


def test_only_a_sink_with_a_fold_is_a_folding_sink():
    assert isinstance(Sums(), FoldingSink)
    assert not isinstance([].append, FoldingSink)
    assert not isinstance(Sums().__call__, FoldingSink)

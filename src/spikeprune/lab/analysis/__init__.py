"""Analysis of one finished run or a pair: entropy, features, masks, regrowth, classes."""

from spikeprune.lab.analysis.analyze import SAMPLES, analyze

__all__ = ["SAMPLES", "analyze"]

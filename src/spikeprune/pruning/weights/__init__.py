"""Pruning of single weights: Algorithm 1 of the method."""

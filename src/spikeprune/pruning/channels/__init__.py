"""Pruning of whole channels: Algorithm 2 of the method."""

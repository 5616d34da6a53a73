"""Prune spiking neural networks, bring back what is critical, hand over a smaller net."""

__version__ = "0.1.0"

"""Pruning of whole channels: Algorithm 2 of the method.

`choose_channels` is the choice under a budget, `channel_cost` the cost of a net as a function of
its live channels, `channel_masks` the granularity that the pruner holds.
"""

"""Pruning of single weights: Algorithm 1 of the method.

`choose_weights` is the choice, `synops_budget` finds the density that meets a budget of SynOps,
`weight_masks` is the granularity that the pruner holds.
"""

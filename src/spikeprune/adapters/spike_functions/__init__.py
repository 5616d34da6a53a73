"""Neurons of any framework, or of none, found by their spike functions.

`watch` sees every call of a `torch.autograd.Function` while a model runs, `step` finds the
threshold of a function that steps from 0 to 1, `site` is a neuron found in this way.
"""

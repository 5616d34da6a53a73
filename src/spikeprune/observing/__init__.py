"""Membrane potentials in, criticality and firing rates out.

`observer` arms all neurons of a net, `potential_sums` sums the potentials of one neuron as they
come, `criticality_options` says how a score is made of them; `activity` observes whole data sets.
"""

"""SpikingJelly 2.x.

`adapter` answers the questions of `adapters.base`; `describe` reads a neuron's equations, `fused`
and `twin` run them by `spikeprune.neurons`, and `hoisted` computes equal time steps once.
"""

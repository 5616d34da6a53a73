"""The finished net in use: load it, run it, skip its dead weights.

`saved_net` loads a net from a run folder; `event_driven` makes it compute from spikes alone, with
layers, tables and numba kernels in the files beside it.
"""

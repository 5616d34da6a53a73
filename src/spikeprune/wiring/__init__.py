"""Which weights feed which neurons, found by running the net as its owner does.

`wiring` is the result (`Layer`, `Wiring`). `trace` finds it: `owners_call` makes the calls,
`trace_log` records them, `call_graph` walks the autograd graph, `axes` tells time from samples.

`channels` finds groups of channels that live and die together, and why others are left whole:
`tied_channels` by one slice through the whole net, `followed_channels` from where channels arrive
(`channel_flow`) in the forward of the net's owner. `channel_masks` turns live channels into masks
of parameters, `cut_plan` slices tensors by a plan that is JSON, and `cut_proof` compares the masked
net with the cut one.
"""

"""Which weights feed which neurons, found by running the net as its owner does.

`wiring` is the result (`Layer`, `Wiring`). `trace` finds it: `owners_call` makes the calls,
`trace_log` records them, `call_graph` walks the autograd graph, `axes` tells time from samples.
`tied_channels` finds groups of channels that live and die together, `channel_masks` turns live
channels into parameter masks.
"""

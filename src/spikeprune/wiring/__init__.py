"""Which weights feed which neurons, found by a trace and not by names.

`wiring` is the result (`Layer`, `Wiring`), `trace` finds it with the log of `trace_log`;
`tied_channels` finds groups of channels that live and die together, `channel_masks` turns live
channels into parameter masks.
"""

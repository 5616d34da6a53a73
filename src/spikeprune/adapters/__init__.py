"""The seam to spiking frameworks: one folder a framework.

`base` says what an adapter must answer, `registry` finds the adapter of a model, `speedups` has
`fuse` and `hoist`, and `toolkit` is what adapters are built from. A framework is a folder with
`adapter.py`, an `ADAPTER` in it, and a row in `registry`.
"""

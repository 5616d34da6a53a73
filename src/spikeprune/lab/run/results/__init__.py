"""Results of a run: measurements, the finished net, and `metrics.json`.

`measure` measures nets, `save_net` writes the cut net, `metrics_json` puts everything in one form,
`versions` tells which code made it.
"""

"""Numbers of a comparison: cells, rows, paired differences and their intervals.

`cells` and `finished_runs` read finished runs, `rows_and_contrasts` and `statistics` compare them,
`curves` follows them over sparsity.
"""

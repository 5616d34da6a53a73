"""What a night on a shared machine does to runs, and what must be left in the morning.

`tiny` is a run of a second and what counts of its files; `child` calls the command line in a forked
process under a fault; `hooks`, `disk` and `damage` are the faults; `verdict` says how a call ended.
`faults/` has a file for every kind of fault, each with `cases()`; `table` runs them all and prints
the counts, `test_chaos` runs a share of them that is bounded in time.
"""

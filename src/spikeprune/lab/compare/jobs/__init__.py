"""The runs of a comparison: which there are, and how each is run.

`compare_config` and `grid` say what to run, `run_local` and `run_on_ray` run it by `worker`,
`refuse_impossible` and `folder_claim` refuse early.
"""

"""A pruning event: when, and what it looks at.

`schedule` plans the events, `observe_before` and `sparse_start` gather their observations.
"""

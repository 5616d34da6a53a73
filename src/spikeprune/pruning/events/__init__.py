"""A pruning event from plan to record.

`schedule` plans the events, `sparse_start`, `observe_before` and `dense_gradients` gather what an
event looks at, `record` counts what it did.
"""

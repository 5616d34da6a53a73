"""A pruning event from plan to record."""

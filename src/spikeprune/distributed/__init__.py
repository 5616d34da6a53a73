"""Several processes; with one process every function is the identity."""

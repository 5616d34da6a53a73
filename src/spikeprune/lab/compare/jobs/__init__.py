"""The runs of a comparison: the grid, checks before the first run, and running them in parallel."""

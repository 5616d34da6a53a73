"""The runs of a comparison: which there are, and how each is run."""

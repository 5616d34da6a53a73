"""One run: `run` and `plan`, with what both refuse beforehand."""

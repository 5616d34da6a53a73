"""What a run is made of, so that nothing stale is taken for its own: code, weights and data.

`source` finds the user's code, `identity` compares, `standing` says what a run folder allows.
"""

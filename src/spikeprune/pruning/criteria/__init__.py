"""Scores by name: what to drop (saliency) and what to bring back (regrowth).

`of_weights` and `of_channels` have a function and a row for each, `at_initialization` those that
are measured before training, `inputs` what a criterion may look at.
"""

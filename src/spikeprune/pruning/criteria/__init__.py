"""Scores by name: what to drop (saliency) and what to bring back (regrowth)."""

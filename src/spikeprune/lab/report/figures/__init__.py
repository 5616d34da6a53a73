"""Figures of the run report: training, structure, regrowth, activity."""

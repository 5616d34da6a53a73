"""Figures of the report: training, structure, regrowth, activity.

Each file has functions from a run's record to Plotly figures.
"""

"""Figures of the report, as functions from the record of a run."""

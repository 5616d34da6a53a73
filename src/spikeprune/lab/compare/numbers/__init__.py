"""The numbers of a comparison: measurements by run, means over seeds, paired contrasts, curves."""

"""Numbers of a comparison: cells, rows, paired differences and their intervals."""

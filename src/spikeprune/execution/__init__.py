"""Running a net: forward and layouts, precision, BatchNorm."""

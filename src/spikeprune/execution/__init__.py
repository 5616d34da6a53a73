"""How a net is run: time layout, precision, and surgery on its BatchNorms."""

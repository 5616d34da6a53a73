"""Structure of a net: which layers feed which neurons, and which channels are tied."""

"""Which weights feed which neurons, and which channels are tied, found by a trace."""

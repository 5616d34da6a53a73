"""spikingjelly."""

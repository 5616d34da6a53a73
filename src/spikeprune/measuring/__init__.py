"""What a net costs and does: accuracy, synaptic operations, energy, firing rates, latency."""

"""`spikeprune search`: the sparsest net within a drop of accuracy."""

"""`spikeprune search`: the sparsest net within a drop of accuracy.

`search` runs candidates, `bisection` proposes the next sparsity.
"""

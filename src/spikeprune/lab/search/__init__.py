"""`spikeprune search`: the cheapest net within a drop of accuracy.

`search` runs candidates, `bisection` proposes the next sparsity.
"""

"""Plumbing around nn.Module: wiring, observing, pruning, surgery, training, evaluation."""

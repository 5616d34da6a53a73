"""From a masked net to a smaller one with the same outputs.

`dead_channels` finds channels without function, `cut_plan` slices tensors by a plan that is JSON,
`compact` does both and proves that nothing else changed.
"""

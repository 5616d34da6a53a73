"""From a masked net to a smaller one with the same outputs.

`dead_channels` finds channels without function, `compact` cuts them and proves that nothing else
changed, `cut_files` writes and reads a cut net.
"""

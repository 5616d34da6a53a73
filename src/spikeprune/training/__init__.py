"""The training loop: one epoch, losses over time, checkpoints without pickle.

`loop` trains an epoch, `losses` has losses by name, `checkpoint` saves and loads trees of tensors,
`rate_penalty` punishes firing, `distillation` learns from a dense net.
"""

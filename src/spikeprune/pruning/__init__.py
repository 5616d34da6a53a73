"""The pruner and its choices.

`pruner` is the object in the user's loop; `options` and `methods` say what it does. `criteria` has
the scores by name, `events` when and on which observations they act, `weights` and `channels` the
choice itself, `selection` its result; `mask_keeper` and `optimizer_state` keep dead weights at 0.
"""

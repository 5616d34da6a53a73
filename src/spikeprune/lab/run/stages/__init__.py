"""The training stages of a run: epochs with checkpoints that can be resumed.

`train` is one stage, `phases` divides it, `prune` joins stages and cutting; `batch_shares` splits
batches among ranks, `training_cost` adds up FLOPs and seconds.
"""

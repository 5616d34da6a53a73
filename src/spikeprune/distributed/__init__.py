"""Several processes: collectives, gradients averaged over ranks, and joining torchrun.

`collectives` adds up, agrees and refuses over ranks, `data_parallel` wraps the net, `launch` joins
the processes that torchrun started. With one process every function is the identity.
"""

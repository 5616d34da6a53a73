"""What a net does on data: accuracy, synaptic operations, energy, latency.

`evaluate` runs a net over a loader and returns `metrics`; `synops` counts synaptic operations,
`weight_operands` the non-zero operands of each weight, `synops_penalty` adds them to a loss,
`latency` takes times.
"""

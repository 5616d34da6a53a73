"""How a net is run: time layout, precision, and surgery on its BatchNorms.

`forward` resets a net and runs it over T in any layout, `precision` has bf16 and exact float32,
`batchnorm` folds, calibrates and measures norms.
"""

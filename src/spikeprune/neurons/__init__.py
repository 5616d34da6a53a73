"""Fused IF, LIF and PLIF neurons on plain tensors: equations, eager and compiled body."""
